//! The errors of the public API: one enum for each operation. Each error says what happened, where,
//! and what to do.

use std::fmt;

mod app;
mod call;
mod pool;

pub use app::AppError;
pub use call::{CallError, TimeoutPhase};
pub use pool::{BadOption, CodeSyncError, PoolError};

/// An error of a crate below this one. Users read its text and its sources, and don't match on it.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// What sort of thing kept an instance from becoming a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum BootFailureKind {
    /// The platform wants to be asked less often, and was asked again until there was no more time.
    Throttled,
    /// The platform has nothing free of what was ordered, for now.
    Capacity,
    /// A quota of the account, or a limit that was set for it, is reached.
    Quota,
    /// The platform could not be reached, or had a fault of its own, as often as it was asked.
    Unavailable,
    /// The order can't be carried out as it stands: a setting is wrong, a permission is lacking, a
    /// program or an image is not there.
    Refused,
    /// The instance ended before it was a runner.
    Died,
    /// The boot timeout passed first.
    TimedOut,
    /// It dialled home and was turned away, as one of another build is.
    TurnedAway,
    /// None of these.
    #[default]
    Other,
}

/// Why an instance did not become a runner, with all that its backend knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BootFailure {
    /// What sort of thing happened, for code.
    pub kind: BootFailureKind,
    /// What happened, for people.
    pub reason: String,
    /// What the platform says of the instance's end.
    pub stopped_reason: Option<String>,
    /// The instance's exit code.
    pub exit_code: Option<i32>,
    /// The last lines that it printed, oldest first.
    pub log_tail: Vec<String>,
}

impl BootFailure {
    /// A failure of kind [`Other`](BootFailureKind::Other), with nothing but a reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self::of(BootFailureKind::Other, reason)
    }

    /// A failure of this kind, with nothing but a reason.
    pub fn of(kind: BootFailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), ..Self::default() }
    }
}

impl fmt::Display for BootFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        end(f, &self.reason, self.exit_code, self.stopped_reason.as_deref())?;
        if !self.log_tail.is_empty() {
            write!(f, "; it printed last:\n  {}", self.log_tail.join("\n  "))?;
        }
        Ok(())
    }
}

impl std::error::Error for BootFailure {}

/// Writes how an instance ended, in a line.
pub(crate) fn end(
    f: &mut fmt::Formatter<'_>,
    reason: &str,
    exit_code: Option<i32>,
    stopped_reason: Option<&str>,
) -> fmt::Result {
    f.write_str(reason)?;
    if let Some(code) = exit_code {
        write!(f, " (exit code {code})")?;
    }
    if let Some(stopped) = stopped_reason {
        write!(f, "; {stopped}")?;
    }
    Ok(())
}
