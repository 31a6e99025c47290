//! A runner has no terminal.
//!
//! A runner is not in the terminal's foreground (see the process backend). There the kernel stops a
//! process that reads from the terminal, together with its process group: a function that starts
//! `ssh` or `sudo` would stop its runner. Without a terminal such a program fails at once, as it
//! does in the cloud.

use rustix::process::{Pid, getpgid, getpgrp, getpid, setpgid, setsid};

/// Leaves the terminal, if there is one, for a session without a terminal.
///
/// The leader of a process group can't create a session, so it joins its parent's group for the two
/// system calls in between. A Ctrl-C at that moment ends it, and its parent boots another.
pub(super) fn leave(parent: i32) {
    let leads = getpgrp() == getpid();
    if std::fs::File::open("/dev/tty").is_err() {
        return;
    }
    if leads && getpgid(Pid::from_raw(parent)).and_then(|group| setpgid(None, Some(group))).is_err()
    {
        return;
    }
    if setsid().is_err() && leads {
        let _ = setpgid(None, None);
    }
}
