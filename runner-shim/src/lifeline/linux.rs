//! The tie by `prctl(PR_SET_PDEATHSIG)`, made before `main` by the constructor in
//! [`started`](crate::boot_variables).

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpgrp, getpid, getppid, kill_current_process_group, kill_process,
    pidfd_open, set_parent_process_death_signal, test_kill_process,
};

/// Asks for the signal first and looks afterwards: a parent that dies in between is seen by one of
/// the two.
pub(super) fn tie(parent: i32) -> bool {
    let Some(parent) = Pid::from_raw(parent) else {
        return false;
    };
    let asked = set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
    if getppid() == Some(parent) {
        return asked;
    }
    if is_running(parent) {
        // The parent that is named lives and is not this process's: the variable was inherited.
        let _ = set_parent_process_death_signal(None);
        return false;
    }
    // As if the lifeline had been cut an instant later. Only a failure of this would return.
    let _ = kill_process(getpid(), Signal::KILL);
    false
}

/// Calls this process so in lists of processes. Before `main` the only thread is the one whose name
/// they show.
pub(super) fn set_name(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Ties a process again that was tied to this parent before `main`, on a thread that lives as long
/// as the process: the request belongs to the thread that makes it, and is over when that ends.
pub(super) fn keep_tied(parent: i32) {
    let Some(parent) = Pid::from_raw(parent) else { return };
    let watch = move || {
        tie_again(parent);
        wait_for_the_end_of(parent);
        // The request to the kernel stands as long as this thread does.
        loop {
            std::thread::park();
        }
    };
    let started = std::thread::Builder::new().name("flame-lifeline".to_owned()).spawn(watch);
    if started.is_err() {
        tie_again(parent);
    }
}

/// Asks first and looks afterwards, as [`tie`] does. Whoever was tied to this parent and has another
/// one now has lost it.
fn tie_again(parent: Pid) {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    if getppid() != Some(parent) {
        kill_group();
    }
}

/// Waits for the parent's end, and ends this process: where it has changed its user or its group
/// since [`tie_again`], the kernel sends no signal. Returns where the kernel can't tell (before Linux
/// 5.3).
pub(super) fn wait_for_the_end_of(parent: Pid) {
    let Ok(process) = pidfd_open(parent, PidfdFlags::empty()) else { return };
    // Had the parent ended before it was opened, its pid might be somebody else's.
    while getppid() == Some(parent) {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], None) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => break,
            Err(_) => return,
        }
    }
    kill_group();
}

/// Ends this process, and, if it leads its group, what it has started.
fn kill_group() {
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Whether a process runs. A zombie does not: its children are already orphans.
fn is_running(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    match stat {
        // The state follows the name, which stands in parentheses and may hold any character.
        Ok(stat) => {
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X', 'x']))
        }
        Err(_) => test_kill_process(pid) != Err(rustix::io::Errno::SRCH),
    }
}
