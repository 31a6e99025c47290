//! A runner has no terminal.
//!
//! It does not stand in the terminal's foreground (see the process backend), and there the kernel
//! stops a process that reads from the terminal, with all of its group: a function that starts `ssh`
//! or `sudo` would stop its runner. Without a terminal such a program fails at once, as it does on
//! a host of the cloud.

use rustix::process::{Pid, getpgid, getpgrp, getpid, setpgid, setsid};

/// Leaves the terminal, if there is one, for a session without any.
///
/// The leader of a group can't found a session, so it joins its parent's for the two system calls in
/// between. A Ctrl-C that came just then would end it: its parent would boot another.
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
