//! An invocation's response when its runner has ended. It tells the parent how the runner ended.

use std::fmt;

use flame_wire::hello::Rejection;
use flame_wire::message::EndReason;
use serde::{Deserialize, Serialize};

use crate::runner::Ended;

/// How an invocation's runner ended. Kept small: Lambda limits the size of responses, and bills it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "flame", rename_all = "snake_case")]
pub enum InvocationResponse {
    /// The runner decided to end.
    Ended {
        /// Why the runner ended.
        reason: EndReason,
        /// The exit code that a process would have had.
        code: i32,
        /// The number of calls that it served.
        calls: u64,
        /// Plain functions that are still running; the environment ends because of them.
        #[serde(default, skip_serializing_if = "is_zero")]
        still_running: usize,
    },
    /// The parent rejected the runner.
    Rejected {
        /// Why.
        rejection: Rejection,
    },
    /// The runner was offered its parent's executable, and could not become it.
    NotSynced {
        /// The error.
        what: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(still_running: &usize) -> bool {
    *still_running == 0
}

impl InvocationResponse {
    /// The response for a runner that has ended like this.
    #[must_use]
    pub fn of(ended: Ended) -> Self {
        match ended {
            Ended::Done { code, reason, calls, still_running } => {
                Self::Ended { reason, code, calls, still_running }
            }
            Ended::Rejected(rejection) => Self::Rejected { rejection },
            Ended::NotSynced(error) => Self::NotSynced { what: error.to_string() },
        }
    }

    /// The exit code that a process would have had; `None` if the runner was not admitted.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Ended { code, .. } => Some(*code),
            Self::Rejected { .. } | Self::NotSynced { .. } => None,
        }
    }

    /// Whether functions are still running in the environment, so that it must not be used again.
    #[must_use]
    pub fn leaves_functions_running(&self) -> bool {
        matches!(self, InvocationResponse::Ended { still_running, .. } if *still_running > 0)
    }
}

impl fmt::Display for InvocationResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvocationResponse::Ended { reason, calls, still_running, .. } => {
                write!(f, "the runner ended after {calls} calls: {reason}")?;
                if *still_running > 0 {
                    write!(
                        f,
                        "; {still_running} plain functions were still running, so the environment ended as well"
                    )?;
                }
                Ok(())
            }
            InvocationResponse::Rejected { rejection } => {
                write!(f, "the parent rejected the runner: {rejection}")
            }
            InvocationResponse::NotSynced { what } => {
                write!(f, "the runner is of another build: {what}")
            }
        }
    }
}
