//! Kills the children's process groups if this process ends first.
//!
//! The kernel kills the children themselves, which have asked for it, but not the processes that
//! their functions have started. So while there are children, a shell knows their groups, and kills
//! them when its standard input ends. The input ends however this process does, even by `kill -9`.
//!
//! ```text
//!   this process ── the groups, one line at each change ──▶ sh: keeps the last line
//!        │                                                   │
//!        └── ends: end of input ────────────────────────────▶ kill -9 each group
//! ```
//!
//! On a machine without `/bin/sh`, processes that functions have started may outlive this process.

use std::collections::BTreeSet;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use super::group::ProcessGroup;

/// An incomplete line is ignored: `read` fails for it.
const SCRIPT: &str = "while read -r line; do groups=$line; done; \
                      for group in $groups; do kill -s KILL -- \"-$group\"; done";

/// Watches over the process groups of the children.
#[derive(Debug)]
pub(super) struct Watchdog {
    groups: watch::Sender<BTreeSet<u32>>,
}

impl Watchdog {
    /// Watches no group yet. Must be called in a tokio runtime.
    pub(super) fn start() -> Self {
        let (groups, changes) = watch::channel(BTreeSet::new());
        tokio::spawn(run_shells(changes));
        Self { groups }
    }

    /// Watches the group of this child until the returned value is dropped.
    pub(super) fn watch(&self, child: u32) -> WatchedGroup {
        self.groups.send_modify(|groups| {
            groups.insert(child);
        });
        WatchedGroup { child, groups: self.groups.clone() }
    }
}

/// A group that is watched until this is dropped.
#[derive(Debug)]
pub(super) struct WatchedGroup {
    child: u32,
    groups: watch::Sender<BTreeSet<u32>>,
}

impl Drop for WatchedGroup {
    fn drop(&mut self) {
        self.groups.send_modify(|groups| {
            groups.remove(&self.child);
        });
    }
}

/// Keeps a shell running while there is a group, and sends it every change.
async fn run_shells(mut groups: watch::Receiver<BTreeSet<u32>>) {
    while groups.wait_for(|groups| !groups.is_empty()).await.is_ok() {
        match shell() {
            Ok((shell, input)) => send_groups(shell, input, &mut groups).await,
            Err(error) => {
                tracing::debug!(%error, "no shell could be started, so processes that functions start may outlive this process");
            }
        }
        // If the shell has died or could not be started, the next child starts another one.
        if !groups.borrow_and_update().is_empty() && groups.changed().await.is_err() {
            return;
        }
    }
}

fn shell() -> std::io::Result<(Child, ChildStdin)> {
    let mut command = std::process::Command::new("/bin/sh");
    let name = format!("flame-aws: kills leftover processes of {}", std::process::id());
    command.args(["-c", SCRIPT, &name]).env_clear().current_dir("/");
    // It must survive the terminal's signals, and a signal to this process's group.
    ProcessGroup::lead(&mut command);
    let mut shell = Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let input = shell
        .stdin
        .take()
        .ok_or_else(|| std::io::Error::other("the shell has no standard input"))?;
    Ok((shell, input))
}

/// Sends the shell the groups until there is none, and then closes its input, which ends it.
async fn send_groups(
    mut shell: Child,
    mut input: ChildStdin,
    groups: &mut watch::Receiver<BTreeSet<u32>>,
) {
    loop {
        let line = line(&groups.borrow_and_update());
        let sent = async {
            input.write_all(line.as_bytes()).await?;
            input.flush().await
        };
        tokio::select! {
            sent = sent => if sent.is_err() { break },
            _ = shell.wait() => return,
        }
        if line == "\n" {
            break;
        }
        tokio::select! {
            changed = groups.changed() => if changed.is_err() { break },
            _ = shell.wait() => return,
        }
    }
    drop(input);
    let _ = shell.wait().await;
}

fn line(groups: &BTreeSet<u32>) -> String {
    let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
    groups.join(" ") + "\n"
}
