//! A runner inside a Lambda invocation.
//!
//! ```text
//!  parent ── Invoke ─▶ Lambda ─▶ environment: a process, one invocation after the other
//!                                  │ event {"FLAME_PARENT": .., "v": 1}
//!                                  ├─▶ Runner: dials home, serves, ends ── before the deadline
//!         ◀────── answer ──────────┴── {"flame": "ended", ..}           ── then frozen, or thawed
//!                                                                          for the next event
//! ```
//!
//! # Invariants
//!
//! * One invocation is one runner. Nothing of it is left when the answer goes out: the environment
//!   is frozen then, and whatever still ran would wake up within somebody else's invocation. What
//!   the app keeps (its state, statics, connections) stays for the next runner.
//! * A plain function can't be stopped. If one still runs after its runner's end, the environment
//!   ends behind the answer, and is not used again.
//! * An event that is delivered twice, or again, does no harm: its token is spent, the second runner
//!   is refused and answers at once. A refusal is an answer and no error, since Lambda delivers
//!   asynchronous events again after errors.
//! * The environment outlives events that it can't read: these end with an error of their own.

use std::time::{Duration, SystemTime};

use flame_wire::ids::RunnerRef;
use flame_wire::message::EndReason;
use flame_wire::parent::HostKind;
use futures_core::future::BoxFuture;

use super::Host;

mod environment;
mod event;
mod response;
#[cfg(test)]
mod tests;

pub use environment::{Environment, EnvironmentEnd, EnvironmentError};
pub use event::{Event, EventError};
pub use response::InvocationResponse;

/// An invocation, as its runner sees it.
#[derive(Clone, Debug)]
pub struct LambdaHost {
    instance: String,
    deadline: SystemTime,
}

impl LambdaHost {
    /// The invocation that is to be this runner, and when Lambda ends it.
    #[must_use]
    pub fn new(runner: RunnerRef, deadline: SystemTime) -> Self {
        Self { instance: instance_of(runner), deadline }
    }
}

/// The name of a runner's invocation, as [`LambdaHost`] states it and the Lambda backend expects
/// it. The request id of Lambda's own would come too late: the parent learns it with the answer.
#[must_use]
pub fn instance_of(runner: RunnerRef) -> String {
    format!("lambda-{runner}")
}

impl Host for LambdaHost {
    fn kind(&self) -> HostKind {
        HostKind::Lambda
    }

    fn instance(&self) -> String {
        self.instance.clone()
    }

    /// The time until the invocation's deadline, by this machine's clock, as Lambda's own libraries
    /// take it.
    fn expires_in(&self) -> Option<Duration> {
        Some(self.deadline.duration_since(wall_clock()).unwrap_or_default())
    }

    fn is_reused(&self) -> bool {
        true
    }

    /// Does nothing: the invocation ends with its answer.
    fn shutdown(&self, _reason: EndReason, _code: i32) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[expect(clippy::disallowed_methods, reason = "a deadline of Lambda's is a time of day")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
