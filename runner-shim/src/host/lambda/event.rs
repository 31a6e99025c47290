//! The event that makes an invocation a runner.

use std::fmt;

use flame_wire::parent::{FlameParent, HostKind, ParentError};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// The event with which a pool invokes its function. `Debug` does not show FLAME_PARENT.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// FLAME_PARENT, as a child process has it in its environment.
    #[serde(rename = "FLAME_PARENT")]
    pub flame_parent: String,
    /// The version of this event: [`Event::VERSION`].
    pub v: u32,
}

impl Event {
    /// The version that this build writes and reads.
    pub const VERSION: u32 = 1;

    /// The event for a runner with this FLAME_PARENT.
    #[must_use]
    pub fn new(flame_parent: &str) -> Self {
        Self { flame_parent: flame_parent.to_owned(), v: Self::VERSION }
    }

    /// The decoded FLAME_PARENT.
    ///
    /// # Errors
    /// [`EventError`].
    pub fn parent(&self) -> Result<FlameParent, EventError> {
        if self.v != Self::VERSION {
            return Err(EventError::Version { found: self.v });
        }
        let parent = FlameParent::decode(&self.flame_parent)?;
        if parent.host != HostKind::Lambda {
            return Err(EventError::Host(parent.host));
        }
        Ok(parent)
    }
}

/// Overwrites FLAME_PARENT, which is a secret.
impl Drop for Event {
    fn drop(&mut self) {
        self.flame_parent.zeroize();
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("v", &self.v).finish_non_exhaustive()
    }
}

/// Any JSON that an invocation may get. Only a pool's event makes the invocation a runner.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum InvocationPayload {
    Event(Event),
    Other(IgnoredAny),
}

impl InvocationPayload {
    pub(super) fn parent(self) -> Result<FlameParent, EventError> {
        match self {
            InvocationPayload::Event(event) => event.parent(),
            InvocationPayload::Other(_) => Err(EventError::NotOurs),
        }
    }
}

/// Why an invocation can't be a runner. Each message says what to do, and shows no part of the
/// event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The event does not come from a pool.
    #[error(
        "the event is not a pool's: this function has FLAME_RUNNER=lambda, so its invocations are \
         runners of flame-aws; let a pool invoke it, remove triggers that point at it, and handle \
         other events in another function"
    )]
    NotOurs,
    /// The event is of another version.
    #[error(
        "the event has version {found}, this executable reads version {known}: deploy parent and \
         runner from the same build", known = Event::VERSION
    )]
    Version {
        /// The event's version.
        found: u32,
    },
    /// The event's FLAME_PARENT is not valid.
    #[error("the event's FLAME_PARENT can't be used: {0}")]
    Parent(#[from] ParentError),
    /// The event's FLAME_PARENT is for another kind of runner.
    #[error(
        "the event's FLAME_PARENT is for a runner of kind {0}: invoke this function through the \
         Lambda backend"
    )]
    Host(HostKind),
}

impl EventError {
    /// The type of the invocation's error. The backend recognizes our errors by its prefix.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            EventError::NotOurs => "Flame.NotAPoolsEvent",
            EventError::Version { .. } => "Flame.OtherVersion",
            EventError::Parent(_) | EventError::Host(_) => "Flame.BadParent",
        }
    }
}

impl From<EventError> for lambda_runtime::Diagnostic {
    fn from(error: EventError) -> Self {
        Self { error_type: error.kind().to_owned(), error_message: error.to_string() }
    }
}
