//! Ends what children have started when this process is gone.
//!
//! The kernel ends the children themselves, which have asked for it; it does not end the processes
//! that their functions have started. While there are children a shell knows their groups, and ends
//! these when its input ends: that happens however this process ends, by `kill -9` too.
//!
//! ```text
//!   this process ── the groups, one line at each change ──▶ sh: keeps the last line
//!        │                                                   │
//!        └── ends: end of input ────────────────────────────▶ kill -9 each group
//! ```
//!
//! Where there is no `/bin/sh` nothing does it, and the children's processes are left.

use std::collections::BTreeSet;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use super::group::ProcessGroup;

/// A line that was cut off is not taken: `read` fails for it.
const SCRIPT: &str = "while read -r line; do groups=$line; done; \
                      for group in $groups; do kill -s KILL -- \"-$group\"; done";

/// The groups of the children of this process.
#[derive(Debug)]
pub(super) struct Watchdog {
    groups: watch::Sender<BTreeSet<u32>>,
}

impl Watchdog {
    /// Guards no group yet. For within a runtime.
    pub(super) fn start() -> Self {
        let (groups, changes) = watch::channel(BTreeSet::new());
        tokio::spawn(keep_informed(changes));
        Self { groups }
    }

    /// Guards the group of this child, until what this gives is dropped.
    pub(super) fn watch(&self, child: u32) -> WatchedGroup {
        self.groups.send_modify(|groups| {
            groups.insert(child);
        });
        WatchedGroup { child, groups: self.groups.clone() }
    }
}

/// A group that is guarded.
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

/// Has a shell while there is a group, and tells it of each change.
async fn keep_informed(mut groups: watch::Receiver<BTreeSet<u32>>) {
    while groups.wait_for(|groups| !groups.is_empty()).await.is_ok() {
        match shell() {
            Ok((shell, input)) => tell(shell, input, &mut groups).await,
            Err(error) => {
                tracing::debug!(%error, "no shell: processes that functions start may be left over");
            }
        }
        // One that has ended by itself, or could not be started, is tried again with the next child.
        if !groups.borrow_and_update().is_empty() && groups.changed().await.is_err() {
            return;
        }
    }
}

fn shell() -> std::io::Result<(Child, ChildStdin)> {
    let mut command = std::process::Command::new("/bin/sh");
    let name = format!("flame-aws: ends what the runners of {} leave", std::process::id());
    command.args(["-c", SCRIPT, &name]).env_clear().current_dir("/");
    // Neither the terminal's signals nor the end of this process's group are for it.
    ProcessGroup::lead(&mut command);
    let mut shell = Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let input = shell.stdin.take().ok_or_else(|| std::io::Error::other("it has no input"))?;
    Ok((shell, input))
}

/// Tells the shell of the groups until there is none: then its input ends, and so does it.
async fn tell(
    mut shell: Child,
    mut input: ChildStdin,
    groups: &mut watch::Receiver<BTreeSet<u32>>,
) {
    loop {
        let line = line(&groups.borrow_and_update());
        let told = async {
            input.write_all(line.as_bytes()).await?;
            input.flush().await
        };
        tokio::select! {
            told = told => if told.is_err() { break },
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
