//! What an invocation answers when its runner has ended: the death that the parent learns of.

use std::fmt;

use flame_wire::hello::Refusal;
use flame_wire::message::EndReason;
use serde::{Deserialize, Serialize};

use crate::runner::Ended;

/// How an invocation's runner ended. Small: Lambda bounds answers, and bills what they carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "flame", rename_all = "snake_case")]
pub enum InvocationResponse {
    /// In order, or by one of its timers.
    Ended {
        /// Why.
        reason: EndReason,
        /// What a process would have exited with.
        code: i32,
        /// Calls that it has served.
        calls: u64,
        /// Plain functions that still run; the environment ends because of them.
        #[serde(default, skip_serializing_if = "is_zero")]
        still_running: usize,
    },
    /// Its parent did not want it.
    Refused {
        /// Why.
        refusal: Refusal,
    },
    /// It was offered its parent's executable, which a function can't become.
    NotSynced {
        /// What it was told.
        what: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(still_running: &usize) -> bool {
    *still_running == 0
}

impl InvocationResponse {
    /// What is told of a runner that has ended so.
    #[must_use]
    pub fn of(ended: Ended) -> Self {
        match ended {
            Ended::Done { code, reason, calls, still_running } => {
                Self::Ended { reason, code, calls, still_running }
            }
            Ended::Refused(refusal) => Self::Refused { refusal },
            Ended::NotSynced(error) => Self::NotSynced { what: error.to_string() },
        }
    }

    /// What a process would have exited with, where the runner was one.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Ended { code, .. } => Some(*code),
            Self::Refused { .. } | Self::NotSynced { .. } => None,
        }
    }

    /// Whether a function still runs in the environment, which must not be used again.
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
                        "; {still_running} plain functions still ran, so its environment ended too"
                    )?;
                }
                Ok(())
            }
            InvocationResponse::Refused { refusal } => {
                write!(f, "the parent refused the runner: {refusal}")
            }
            InvocationResponse::NotSynced { what } => {
                write!(f, "the runner is of another build: {what}")
            }
        }
    }
}
