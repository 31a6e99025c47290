//! Ties a process to its parent with `prctl(PR_SET_PDEATHSIG)`. The constructor in
//! [`boot_variables`](crate::boot_variables) calls it before `main`.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpgrp, getpid, getppid, kill_current_process_group, kill_process,
    pidfd_open, set_parent_process_death_signal, test_kill_process,
};

/// Requests the signal first and checks the parent afterwards, so that a parent that dies in
/// between is noticed by the signal or by the check.
pub(super) fn tie(parent: i32) -> bool {
    let Some(parent) = Pid::from_raw(parent) else {
        return false;
    };
    let asked = set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
    if getppid() == Some(parent) {
        return asked;
    }
    if is_running(parent) {
        // The named parent is alive and is not this process's parent: the variable was inherited.
        let _ = set_parent_process_death_signal(None);
        return false;
    }
    // The parent died before the request: act as if the signal had come. This returns only if it
    // fails.
    let _ = kill_process(getpid(), Signal::KILL);
    false
}

/// Sets this process's name in process lists. They show the name of the main thread, which before
/// `main` is the only one.
pub(super) fn set_name(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Ties a process again that was tied before `main`. It uses a thread that lives as long as the
/// process, because the kernel binds the request to the thread that makes it.
pub(super) fn keep_tied(parent: i32) {
    let Some(parent) = Pid::from_raw(parent) else { return };
    let watch = move || {
        tie_again(parent);
        wait_for_the_end_of(parent);
        // The request lasts as long as this thread.
        loop {
            std::thread::park();
        }
    };
    let started = std::thread::Builder::new().name("flame-lifeline".to_owned()).spawn(watch);
    if started.is_err() {
        tie_again(parent);
    }
}

/// Requests the signal first and checks the parent afterwards, as [`tie`] does. If this process now
/// has another parent, the one that it was tied to has ended.
fn tie_again(parent: Pid) {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    if getppid() != Some(parent) {
        kill_group();
    }
}

/// Waits for the parent's end, and ends this process. Needed if the process has changed its user or
/// group since [`tie_again`]: then the kernel sends no signal. Returns if the kernel can't report
/// the end (before Linux 5.3).
pub(super) fn wait_for_the_end_of(parent: Pid) {
    let Ok(process) = pidfd_open(parent, PidfdFlags::empty()) else { return };
    // If the parent ended before the pidfd was opened, its pid may belong to another process.
    while getppid() == Some(parent) {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], None) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => break,
            Err(_) => return,
        }
    }
    kill_group();
}

/// Kills this process and, if it leads its process group, the processes that it has started.
fn kill_group() {
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Whether a process is running. A zombie is not: its children are already orphans.
fn is_running(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    match stat {
        // The state follows the name, which is in parentheses and may contain any character.
        Ok(stat) => {
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X', 'x']))
        }
        Err(_) => test_kill_process(pid) != Err(rustix::io::Errno::SRCH),
    }
}
