//! A child's process group: the child leads it, and what its functions start belongs to it.
//!
//! So the signals of a terminal (Ctrl-C, Ctrl-\, Ctrl-Z, its hangup) reach the parent alone, which
//! decides what they mean for its runners. And all of the group can be ended at once.
//!
//! A group has the id of the process that leads it. The kernel gives that id to nobody else before
//! the leader has been waited for, and not while the group has a member. So a group is ended after
//! its leader has died and before somebody waits for it: only then is it certain that the id is
//! the child's, and that the child starts nothing more.

use tokio::process::Child;

/// The group of a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessGroup {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl ProcessGroup {
    /// Makes a command's process lead a group of its own.
    pub(super) fn lead(command: &mut std::process::Command) {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }

    /// The group of a child that was started as [`lead`](Self::lead) says.
    pub(super) fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self { leader: leader.and_then(rustix::process::Pid::from_raw) }
    }

    /// Ends what belongs to the group, with -9. Only for a child that nobody has waited for.
    pub(super) fn kill(self) {
        if let Some(leader) = self.leader {
            // An error says that nothing is left of it, or that the child has left its own group.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }

    /// Waits until the child has ended. It can still be waited for.
    pub(super) async fn leader_ended(self, _: &mut Child) {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let Some(leader) = self.leader else { return };
        if ended_by_descriptor(leader).await {
            return;
        }
        let Ok(mut ends) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::child())
        else {
            return;
        };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while let Ok(None) = waitid(WaitId::Pid(leader), look) {
            let _ = ends.recv().await;
        }
    }
}

/// Waits until a child has ended, by a descriptor of it; `false` where the kernel has none (before
/// Linux 5.3, and elsewhere).
#[cfg(target_os = "linux")]
async fn ended_by_descriptor(child: rustix::process::Pid) -> bool {
    use rustix::process::{PidfdFlags, pidfd_open};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    let Ok(process) = pidfd_open(child, PidfdFlags::empty()) else { return false };
    #[allow(deprecated, reason = "safe: its owner gives the same descriptor all its life")]
    let process = AsyncFd::with_interest(process, Interest::READABLE);
    let Ok(process) = process else { return false };
    process.readable().await.is_ok()
}

#[cfg(all(unix, not(target_os = "linux")))]
async fn ended_by_descriptor(_: rustix::process::Pid) -> bool {
    false
}

#[cfg(not(unix))]
impl ProcessGroup {
    pub(super) fn lead(_: &mut std::process::Command) {}

    pub(super) fn of(_: &Child) -> Self {
        Self {}
    }

    pub(super) fn kill(self) {}

    pub(super) async fn leader_ended(self, child: &mut Child) {
        // Its status can be had again.
        let _ = child.wait().await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Stdio;

    use tokio::process::Command;

    use super::*;

    fn start(script: &str) -> std::io::Result<Child> {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]);
        ProcessGroup::lead(&mut command);
        let mut command = Command::from(command);
        command.stdout(Stdio::piped()).kill_on_drop(true).spawn()
    }

    #[tokio::test]
    async fn a_child_that_has_ended_can_still_be_waited_for() {
        let mut child = start("exit 7").unwrap();
        ProcessGroup::of(&child).leader_ended(&mut child).await;
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn a_group_ends_although_its_leader_has_ended() {
        use tokio::io::AsyncReadExt;
        let mut child = start("sleep 600 & exit 7").unwrap();
        let group = ProcessGroup::of(&child);
        group.leader_ended(&mut child).await;
        group.kill();
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
        // It ends when nobody has it open any more.
        let mut output = String::new();
        child.stdout.take().unwrap().read_to_string(&mut output).await.unwrap();
    }
}
