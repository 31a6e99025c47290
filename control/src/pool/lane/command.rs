//! The commands that a lane gives to a runner's supervisor.

use tokio::sync::watch;

/// A command to a runner. A later command replaces an earlier one only if it is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RunnerCommand {
    /// Serve calls.
    Serve,
    /// End when the calls under way have ended, or the shutdown window is over.
    Drain,
    /// Cancel the calls under way, and end.
    Hurry,
    /// End now: the instance is killed.
    Stop,
}

/// Gives a command, unless a stronger one was given before.
pub(super) fn give(commands: &watch::Sender<RunnerCommand>, command: RunnerCommand) {
    commands.send_if_modified(|current| {
        let is_stronger = command > *current;
        *current = command.max(*current);
        is_stronger
    });
}
