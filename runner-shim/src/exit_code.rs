//! The exit codes of a runner's process. A parent shows the code when a runner ends.

/// The runner ended as it should, and aborted no work.
pub const EXIT_OK: i32 = 0;
/// The runner never connected to its parent: the connect timeout passed first.
pub const EXIT_NEVER_CONNECTED: i32 = 81;
/// The parent exited, or its connection was lost for longer than `reconnect_timeout`.
pub const EXIT_PARENT_LOST: i32 = 82;
/// The shutdown window ended while work was still running, and that work was aborted.
pub const EXIT_WORK_ABORTED: i32 = 83;
/// The parent rejected the runner; the last line on standard error says why.
pub const EXIT_REJECTED: i32 = 84;
/// The runner could not replace itself with its parent's executable; the last line on standard
/// error says why.
pub const EXIT_NOT_SYNCED: i32 = 85;
/// A second signal ended the runner at once. The code is this plus the signal's number, as a shell
/// reports it (SIGINT 130, SIGTERM 143).
pub const EXIT_SIGNAL_BASE: i32 = 128;
