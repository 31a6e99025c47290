//! How a runner ended.

use flame_wire::hello::Rejection;
use flame_wire::message::EndReason;

use crate::code_sync::SyncError;
use crate::exit_code::{EXIT_NOT_SYNCED, EXIT_OK, EXIT_REJECTED};

/// How a runner ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// The runner decided to end.
    Done {
        /// The exit code for the host.
        code: i32,
        /// Why the runner ended.
        reason: EndReason,
        /// The number of calls that it served.
        calls: u64,
        /// Functions that are still running although their calls are over. Counted only if the host
        /// [is reused](crate::host::Host::is_reused). They are plain functions, or async functions
        /// that block: nothing can stop them.
        still_running: usize,
    },
    /// The parent rejected the runner.
    Rejected(Rejection),
    /// The runner had to become its parent's executable, and could not. (If it can, the process
    /// continues as that program, and the runner does not end.)
    NotSynced(SyncError),
}

impl Ended {
    /// The exit code of the runner's process.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Ended::Done { code, .. } => *code,
            Ended::Rejected(_) => EXIT_REJECTED,
            Ended::NotSynced(_) => EXIT_NOT_SYNCED,
        }
    }

    /// The reason that a [`Host`](crate::host::Host) is given.
    #[must_use]
    pub fn reason(&self) -> EndReason {
        match self {
            Ended::Done { reason, .. } => *reason,
            Ended::Rejected(_) | Ended::NotSynced(_) => EndReason::ParentLost,
        }
    }

    /// One line for standard error that says why; `None` if the runner ended as it should. The
    /// parent of a process keeps the last lines that it printed.
    #[must_use]
    pub fn explanation(&self) -> Option<String> {
        match self {
            Ended::Done { code: EXIT_OK, .. } => None,
            Ended::Done { code, reason, .. } => {
                Some(format!("this runner exits with code {code}: {reason}"))
            }
            Ended::Rejected(rejection) => {
                Some(format!("the parent rejected this runner: {rejection}"))
            }
            Ended::NotSynced(error) => Some(format!(
                "this runner can't replace itself with its parent's executable: {error}"
            )),
        }
    }
}
