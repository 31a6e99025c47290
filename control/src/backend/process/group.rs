//! A child's process group. The child leads it, and the processes that its functions start are in
//! it.
//!
//! So the signals of a terminal (Ctrl-C, Ctrl-\, Ctrl-Z, hangup) reach only the parent, which
//! decides what they mean for its runners. And the whole group can be killed at once.
//!
//! The id of a group is the process id of its leader. The kernel does not reuse that id before the
//! leader has been waited for, nor while the group has a member. So a group is killed after its
//! leader has died and before the leader is waited for. At that time the id is certainly the
//! child's, and the child can start no more processes.

use tokio::process::Child;

/// The group of a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessGroup {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl ProcessGroup {
    /// Makes the process that this command starts the leader of a new group.
    pub(super) fn lead(command: &mut std::process::Command) {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }

    /// The group of a child whose command was prepared by [`lead`](Self::lead).
    pub(super) fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self { leader: leader.and_then(rustix::process::Pid::from_raw) }
    }

    /// Sends SIGKILL to every process in the group. Call it only before the child is waited for.
    pub(super) fn kill(self) {
        if let Some(leader) = self.leader {
            // An error means that the group is empty, or that the child has left its own group.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }

    /// Waits until the child has exited, without reaping it.
    pub(super) async fn leader_exited(self, _: &mut Child) {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let Some(leader) = self.leader else { return };
        if exited_by_pidfd(leader).await {
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

/// Waits until a child has exited, by its pidfd. Returns `false` if the system has no pidfds (Linux
/// before 5.3, and other systems).
#[cfg(target_os = "linux")]
async fn exited_by_pidfd(child: rustix::process::Pid) -> bool {
    use rustix::process::{PidfdFlags, pidfd_open};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    let Ok(process) = pidfd_open(child, PidfdFlags::empty()) else { return false };
    #[allow(deprecated, reason = "safe: the owned descriptor stays the same for its whole life")]
    let process = AsyncFd::with_interest(process, Interest::READABLE);
    let Ok(process) = process else { return false };
    process.readable().await.is_ok()
}

#[cfg(all(unix, not(target_os = "linux")))]
async fn exited_by_pidfd(_: rustix::process::Pid) -> bool {
    false
}

#[cfg(not(unix))]
impl ProcessGroup {
    pub(super) fn lead(_: &mut std::process::Command) {}

    pub(super) fn of(_: &Child) -> Self {
        Self {}
    }

    pub(super) fn kill(self) {}

    pub(super) async fn leader_exited(self, child: &mut Child) {
        // tokio keeps the status, so the child can be waited for again.
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
    async fn a_child_that_has_exited_can_still_be_waited_for() {
        let mut child = start("exit 7").unwrap();
        ProcessGroup::of(&child).leader_exited(&mut child).await;
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn a_group_is_killed_after_its_leader_has_exited() {
        use tokio::io::AsyncReadExt;
        let mut child = start("sleep 600 & exit 7").unwrap();
        let group = ProcessGroup::of(&child);
        group.leader_exited(&mut child).await;
        group.kill();
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
        // Reading ends when every process in the group has closed the pipe.
        let mut output = String::new();
        child.stdout.take().unwrap().read_to_string(&mut output).await.unwrap();
    }
}
