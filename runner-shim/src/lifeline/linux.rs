//! The tie by `prctl(PR_SET_PDEATHSIG)`, made before `main` by the constructor in
//! [`started`](crate::started).

use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal, test_kill_process,
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
    if lives(parent) {
        // The parent that is named lives and is not this process's: the variable was inherited.
        let _ = set_parent_process_death_signal(None);
        return false;
    }
    // As if the lifeline had been cut an instant later. Only a failure of this would return.
    let _ = kill_process(getpid(), Signal::KILL);
    false
}

/// Whether a process runs. A zombie does not: its children are already orphans.
fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    match stat {
        // The state follows the name, which stands in parentheses and may hold any character.
        Ok(stat) => {
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X', 'x']))
        }
        Err(_) => test_kill_process(pid) != Err(rustix::io::Errno::SRCH),
    }
}
