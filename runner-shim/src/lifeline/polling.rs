//! The tie where the kernel offers none: a thread that looks whether the parent is still there.

use std::time::Duration;

/// How often the parent's pid is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Starts the watch. Once the parent is gone the process leaves with
/// [`crate::exit_code::EXIT_PARENT_LOST`].
#[cfg(unix)]
pub(super) fn tie(parent: i32) -> bool {
    let is_parent = move || i32::try_from(std::os::unix::process::parent_id()) == Ok(parent);
    // Not the parent's child any more, or never: a plain command that inherited the variable.
    // The terminator's timers end an orphan among them.
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

/// Without parent pids there is nothing to watch: the terminator's timers end an orphan.
#[cfg(not(unix))]
pub(super) fn tie(_parent: i32) -> bool {
    false
}
