//! The messages on the streams of a link: their tags, and those of the control stream.
//!
//! ```text
//! call's stream   parent ── CALL, END ─────────────────────────────▶ runner
//!                 parent ◀─ ACCEPTED?, ITEM ..., RESULT|DONE|FAILED ─ runner
//!                           a reset by the parent cancels the call
//!                 parent ◀─ FAILED, later DONE ────────────────────── runner
//!                           of a call that is over before its function is: nothing can stop that
//!
//! control stream  parent ── Drain, StayUp ────────────────▶ runner    (ParentToRunner)
//!                 parent ◀─ Idle, Draining, Log, Goodbye ── runner    (RunnerToParent)
//! ```
//!
//! A runner never ends for idleness by itself. It proposes with `Idle`, and the parent answers
//! `Drain`, or `StayUp` where it has just leased the runner: so no call is lost to the race.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{DecodeError, EncodeError};
use crate::pack;
use crate::text;

/// The longest control message, in bytes.
pub const MAX_CONTROL: usize = 32 * 1024;
/// The longest text of a log record, in bytes; the rest is cut.
pub const MAX_LOG_TEXT: usize = 16 * 1024;

/// The most items of a stream that a runner makes ahead of their reader.
pub const MAX_AHEAD: u32 = 256;

const MAX_LOG_TARGET: usize = 256;

/// What a message is; the first frame of each message carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Tag {
    /// Parent to runner: a [call](crate::call).
    Call = 1,
    /// Runner to parent: the call has been taken. No body.
    Accepted = 2,
    /// Runner to parent: the function's value, as a [body](crate::body).
    Result = 3,
    /// One value of a stream or of a channel, as a [body](crate::body).
    Item = 4,
    /// Runner to parent: the stream of values has ended. No body.
    Done = 5,
    /// Runner to parent: a [failure](crate::failure::Failure) in place of a value.
    Failed = 6,
    /// On the control stream: a [`ParentToRunner`] or a [`RunnerToParent`].
    Control = 7,
}

impl From<Tag> for u8 {
    fn from(tag: Tag) -> u8 {
        tag as u8
    }
}

impl TryFrom<u8> for Tag {
    type Error = DecodeError;

    fn try_from(kind: u8) -> Result<Self, DecodeError> {
        Ok(match kind {
            1 => Tag::Call,
            2 => Tag::Accepted,
            3 => Tag::Result,
            4 => Tag::Item,
            5 => Tag::Done,
            6 => Tag::Failed,
            7 => Tag::Control,
            kind => return Err(DecodeError::UnknownKind { what: "message", kind }),
        })
    }
}

/// What the parent says on the control stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ParentToRunner {
    /// Take no more calls, finish those there are, and end.
    Drain {
        /// The time there is for it, in milliseconds; calls still running then are failed.
        #[serde(with = "pack::millis")]
        within_ms: u64,
    },
    /// The answer to [`RunnerToParent::Idle`] where the runner is to stay.
    StayUp {
        /// When to propose again, in milliseconds; none leaves it to the runner's own limit.
        #[serde(default, with = "pack::maybe_millis")]
        again_in_ms: Option<u64>,
    },
}

/// What a runner says on the control stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RunnerToParent {
    /// Proposes to end: nothing has run for a while.
    Idle {
        /// For how long, in milliseconds.
        #[serde(with = "pack::millis")]
        idle_ms: u64,
        /// How many calls the runner has finished so far. The parent compares it with its own
        /// count, and knows whether the proposal was made before or after its last call.
        calls_done: u64,
    },
    /// Takes no more calls, and will end when those there are have finished.
    Draining {
        /// Why.
        reason: EndReason,
    },
    /// The last message of a runner that ends in order.
    Goodbye {
        /// Why.
        reason: EndReason,
    },
    /// A line of the runner's log.
    Log(LogRecord),
}

/// Why a runner ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EndReason {
    /// Nothing ran for the pool's idle time, and the parent agreed.
    Idle,
    /// It was for a single call.
    SingleUse,
    /// The link was down for longer than the grace.
    ParentLost,
    /// It never reached its parent.
    NeverConnected,
    /// It has lived as long as the pool lets a runner live.
    Lifetime,
    /// Its host is about to end it, as Lambda does at its deadline.
    HostDeadline,
    /// It was sent this signal.
    Signal(i32),
    /// Its parent asked.
    DrainRequested,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EndReason::Idle => "it was idle",
            EndReason::SingleUse => "it was for a single call",
            EndReason::ParentLost => "it lost its parent",
            EndReason::NeverConnected => "it never reached its parent",
            EndReason::Lifetime => "it reached its lifetime",
            EndReason::HostDeadline => "its host's deadline is near",
            EndReason::Signal(signal) => return write!(f, "it got signal {signal}"),
            EndReason::DrainRequested => "its parent asked it to drain",
        })
    }
}

/// A line of a runner's log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogRecord {
    /// The call that was running, as a [`CallId`](crate::ids::CallId).
    pub call: Option<u64>,
    /// How much it matters.
    pub level: Level,
    /// Where in the code it comes from; sent up to 256 bytes.
    #[serde(serialize_with = "text::at_most::<_, MAX_LOG_TARGET>")]
    pub target: String,
    /// What it says; sent up to [`MAX_LOG_TEXT`] bytes.
    #[serde(serialize_with = "text::at_most::<_, MAX_LOG_TEXT>")]
    pub text: String,
}

/// How much a line of the log matters, most first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may be about to.
    Warn,
    /// Something worth knowing.
    Info,
    /// Something worth knowing while one looks for a bug.
    Debug,
    /// Everything.
    Trace,
}

impl ParentToRunner {
    /// The message's bytes.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] past [`MAX_CONTROL`], which no message of today reaches.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        pack::encode("control message", self, MAX_CONTROL).map(Bytes::from)
    }

    /// Reads the message that fills `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] where it is longer than [`MAX_CONTROL`], malformed, or of no known kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        pack::decode("control message", bytes, MAX_CONTROL)
    }
}

impl RunnerToParent {
    /// The message's bytes. The texts of a log record are cut to their limits.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] past [`MAX_CONTROL`], which no message of today reaches.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        pack::encode("control message", self, MAX_CONTROL).map(Bytes::from)
    }

    /// Reads the message that fills `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] where it is longer than [`MAX_CONTROL`], malformed, or of no known kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        pack::decode("control message", bytes, MAX_CONTROL)
    }
}

#[cfg(test)]
mod tests;
