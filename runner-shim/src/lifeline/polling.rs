//! For platforms without a parent-death signal: a thread checks whether the parent still exists.

use std::time::Duration;

/// The time between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Starts the thread. When the parent is gone, the process exits with
/// [`crate::exit_code::EXIT_PARENT_LOST`].
#[cfg(unix)]
pub(super) fn tie(parent: i32) -> bool {
    let is_parent = move || i32::try_from(std::os::unix::process::parent_id()) == Ok(parent);
    // The parent is gone, or this is a plain command that inherited the variable. If it is an
    // orphaned runner, the terminator's timers end it.
    if !is_parent() {
        return false;
    }
    let watch = move || {
        while is_parent() {
            std::thread::sleep(POLL_INTERVAL);
        }
        std::process::exit(crate::exit_code::EXIT_PARENT_LOST);
    };
    std::thread::Builder::new().name("flame-lifeline".to_owned()).spawn(watch).is_ok()
}

/// Parent pids are not available here: the terminator's timers end an orphan.
#[cfg(not(unix))]
pub(super) fn tie(_parent: i32) -> bool {
    false
}
