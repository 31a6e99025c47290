//! A runner inside a Lambda invocation.
//!
//! ```text
//!  parent ── Invoke ─▶ Lambda ─▶ environment: a process that serves one invocation after another
//!                                  │ event {"FLAME_PARENT": .., "v": 1}
//!                                  ├─▶ Runner: connects, serves, ends ──── before the deadline
//!         ◀───── response ─────────┴── {"flame": "ended", ..}           ── then frozen, or thawed
//!                                                                          for the next event
//! ```
//!
//! # Invariants
//!
//! * One invocation is one runner. Nothing of it is left when the response is sent: the environment
//!   is frozen then, and code that was still running would wake up in the middle of another
//!   invocation. What the app keeps (its state, statics, connections) stays for the next runner.
//! * A plain function can't be stopped. If one is still running after its runner's end, the
//!   environment ends after the response, and is not used again.
//! * An event that is delivered twice does no harm: its token is used up, so the parent rejects the
//!   second runner, which responds at once. A rejection is a response and not an error, because
//!   Lambda delivers asynchronous events again after errors.
//! * The environment survives events that it can't read: each of them ends with an error of its
//!   own.
//!
//! # With a supervisor
//!
//! The generic runner `flame-runner` starts the process of an environment as its child, and serves
//! Lambda's Runtime API to it. A supervised process can become its parent's executable in the
//! middle of an invocation: the new program asks for its next event, and gets the same event again.

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

/// An invocation, as the host of its runner.
#[derive(Clone, Debug)]
pub struct LambdaHost {
    instance: String,
    deadline: SystemTime,
}

impl LambdaHost {
    /// The invocation of this runner, which Lambda ends at `deadline`.
    #[must_use]
    pub fn new(runner: RunnerRef, deadline: SystemTime) -> Self {
        Self { instance: instance_of(runner), deadline }
    }
}

/// The name of a runner's invocation, used by [`LambdaHost`] and by the Lambda backend. Lambda's
/// own request id can't be used: the parent learns it only when the response arrives.
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

    /// The time until the invocation's deadline by this machine's clock. Lambda's own libraries
    /// compute it in the same way.
    fn expires_in(&self) -> Option<Duration> {
        Some(self.deadline.duration_since(wall_clock()).unwrap_or_default())
    }

    fn is_reused(&self) -> bool {
        true
    }

    /// Does nothing: the invocation ends with its response.
    fn shutdown(&self, _reason: EndReason, _code: i32) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[expect(clippy::disallowed_methods, reason = "Lambda states a deadline as a time of day")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
