//! The thread that starts all children of this process, reads their output, and reaps them.
//!
//! It lives as long as the process. The kernel ties a child's life to the *thread* that started it,
//! and the app's worker threads may end at any time. It also reaps children after the app's runtime
//! has shut down.
//!
//! A child's process group is killed with the child (`group.rs`), even if this process ends first
//! (`watchdog.rs`).

use std::io;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::group::ProcessGroup;
use super::watchdog::Watchdog;
use crate::backend::output::RunnerOutput;
use crate::backend::{Death, OutputStream};

/// How long to wait for the end of a dead child's output, which a grandchild may hold open.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(200);

/// A child to be started.
pub(super) struct SpawnRequest {
    pub(super) command: std::process::Command,
    pub(super) output: RunnerOutput,
}

/// A child that was started.
pub(super) struct SpawnedChild {
    pub(super) pid: u32,
    pub(super) kill: KillHandle,
    pub(super) death: oneshot::Receiver<Death>,
}

/// Kills a child when asked to, and when dropped.
#[derive(Debug)]
pub(super) struct KillHandle(mpsc::Sender<()>);

impl KillHandle {
    /// Sends SIGKILL to the child, unless it is dead already.
    pub(super) fn kill(&self) {
        // If the channel is full, the child is being killed already.
        let _ = self.0.try_send(());
    }
}

type Job = (SpawnRequest, oneshot::Sender<io::Result<SpawnedChild>>);

/// Starts a child.
pub(super) async fn spawn(request: SpawnRequest) -> io::Result<SpawnedChild> {
    let gone = || io::Error::other("the thread that starts child processes has ended");
    let (reply, child) = oneshot::channel();
    jobs()?.send((request, reply)).map_err(|_| gone())?;
    child.await.map_err(|_| gone())?
}

fn jobs() -> io::Result<mpsc::UnboundedSender<Job>> {
    static JOBS: OnceLock<Result<mpsc::UnboundedSender<Job>, String>> = OnceLock::new();
    // Not bounded here: each pool limits its concurrent boots.
    let jobs = JOBS.get_or_init(|| start().map_err(|error| error.to_string()));
    jobs.clone().map_err(io::Error::other)
}

fn start() -> io::Result<mpsc::UnboundedSender<Job>> {
    let (jobs, mut inbox) = mpsc::unbounded_channel::<Job>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("flame-children".to_owned()).spawn(move || {
        runtime.block_on(async {
            let watchdog = Watchdog::start();
            while let Some((request, reply)) = inbox.recv().await {
                // If the caller is gone, the reply and its `KillHandle` are dropped, which kills
                // the child.
                let _ = reply.send(start_child(request, &watchdog));
            }
        });
    })?;
    Ok(jobs)
}

fn start_child(request: SpawnRequest, watchdog: &Watchdog) -> io::Result<SpawnedChild> {
    let SpawnRequest { mut command, output } = request;
    ProcessGroup::lead(&mut command);
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().unwrap_or_default();
    let (group, watched) = (ProcessGroup::of(&child), watchdog.watch(pid));
    let (kill, mut killed) = mpsc::channel(1);
    let (dead, death) = oneshot::channel();
    let (exited, dead_for_out) = watch::channel(false);
    let of_err = output.reader(OutputStream::Stderr, dead_for_out.clone());
    let of_out = output.reader(OutputStream::Stdout, dead_for_out);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let printed = [
        out.map(|out| tokio::spawn(of_out.read(out))),
        err.map(|err| tokio::spawn(of_err.read(err))),
    ];
    tokio::spawn(async move {
        let was_killed = tokio::select! {
            () = group.leader_exited(&mut child) => false,
            // Also completes when the `KillHandle` is dropped.
            _ = killed.recv() => {
                group.kill();
                // The app may have moved the child to another group.
                let _ = child.start_kill();
                group.leader_exited(&mut child).await;
                true
            }
        };
        // Processes that its functions have started end with the child.
        group.kill();
        drop(watched);
        let status = child.wait().await;
        exited.send_replace(true);
        // The child's ends of the pipes are closed by now, so only a grandchild can delay this.
        for reader in printed.into_iter().flatten() {
            let _ = timeout(OUTPUT_TIMEOUT, reader).await;
        }
        let death = Death { log_tail: output.tail(), ..death_of(status, was_killed) };
        // Once the pool is gone, there is no receiver.
        let _ = dead.send(death);
    });
    Ok(SpawnedChild { pid, kill: KillHandle(kill), death })
}

fn death_of(status: io::Result<std::process::ExitStatus>, was_killed: bool) -> Death {
    let status = match status {
        Ok(status) => status,
        Err(error) => return Death::new(format!("waiting for the child process failed: {error}")),
    };
    let reason = if was_killed {
        "the child process was stopped by its pool".to_owned()
    } else if status.code().is_some() {
        "the child process exited by itself".to_owned()
    } else {
        format!("the child process died by itself: {status}")
    };
    Death { exit_code: status.code(), ..Death::new(reason) }
}
