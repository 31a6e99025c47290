//! The messages on the streams of a link: their tags, and those of the control stream.
//!
//! ```text
//! call's stream   parent ── CALL, END ─────────────────────────────▶ runner
//!                 parent ◀─ ACCEPTED?, ITEM ..., RESULT|DONE|FAILED ─ runner
//!                           a reset by the parent cancels the call
//!                 parent ◀─ FAILED, later DONE ────────────────────── runner
//!                           the call has failed, but its function can't be stopped: DONE follows
//!                           when the function returns
//!
//! control stream  parent ── Drain, StayUp, Addresses ─────▶ runner    (ParentToRunner)
//!                 parent ◀─ Idle, Draining, Log, Goodbye ── runner    (RunnerToParent)
//! ```
//!
//! An idle runner never exits on its own. It sends `Idle`, and the parent replies with `Drain`, or
//! with `StayUp` if it has just leased the runner. So this race loses no call.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{DecodeError, EncodeError};
use crate::pack;
use crate::text;

/// The longest control message, in bytes.
pub const MAX_CONTROL: usize = 32 * 1024;
/// The longest text of a log record, in bytes. The rest is cut off.
pub const MAX_LOG_TEXT: usize = 16 * 1024;

/// How many items of a stream a runner may send ahead of the reader.
pub const MAX_AHEAD: u32 = 256;

const MAX_LOG_TARGET: usize = 256;

/// The kind of a message. The first frame of each message carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Tag {
    /// Parent to runner: a [call](crate::call).
    Call = 1,
    /// Runner to parent: the runner has accepted the call. No body.
    Accepted = 2,
    /// Runner to parent: the function's result, as a [body](crate::body).
    Result = 3,
    /// One item of a stream, or one message of a channel, as a [body](crate::body).
    Item = 4,
    /// Runner to parent: the stream of items has ended, or a function that could not be stopped has
    /// returned. No body.
    Done = 5,
    /// Runner to parent: a [failure](crate::failure::CallFailure) in place of a result.
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

/// A message from the parent on the control stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ParentToRunner {
    /// The runner must accept no more calls, finish the running ones, and exit.
    Drain {
        /// How long that may take, in milliseconds. Calls that still run then fail.
        #[serde(with = "pack::millis")]
        within_ms: u64,
    },
    /// The reply to [`RunnerToParent::Idle`] if the runner must stay.
    StayUp {
        /// In how many milliseconds the runner may send `Idle` again. `None`: after its own idle
        /// time.
        #[serde(default, with = "pack::maybe_millis")]
        again_in_ms: Option<u64>,
    },
    /// The parent's addresses have changed. The runner uses the new ones when it connects again. It
    /// ignores a list that [`check_addresses`](crate::parent::check_addresses) rejects.
    Addresses {
        /// The addresses, the preferred one first.
        addresses: Vec<String>,
    },
}

/// A message from a runner on the control stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RunnerToParent {
    /// The runner proposes to exit, because nothing has run for a while.
    Idle {
        /// How long nothing has run, in milliseconds.
        #[serde(with = "pack::millis")]
        idle_ms: u64,
        /// How many calls the runner has finished so far. By comparing it with its own count, the
        /// parent learns whether the runner sent this before or after the last call.
        calls_done: u64,
    },
    /// The runner accepts no more calls, and exits when the running ones have finished.
    Draining {
        /// Why.
        reason: EndReason,
    },
    /// The last message of a runner that exits in an orderly way.
    Goodbye {
        /// Why.
        reason: EndReason,
    },
    /// A line of the runner's log.
    Log(LogMessage),
}

/// Why a runner exits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EndReason {
    /// Nothing ran during the pool's idle time, and the parent agreed.
    Idle,
    /// The runner was booted for a single call.
    SingleUse,
    /// The link was down for longer than the reconnect timeout.
    ParentLost,
    /// The runner never connected to its parent.
    NeverConnected,
    /// The runner has reached the pool's maximum lifetime.
    Lifetime,
    /// The host is about to kill the runner, as Lambda does at its deadline.
    HostDeadline,
    /// The runner has received this signal.
    Signal(i32),
    /// The parent asked the runner to drain.
    DrainRequested,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EndReason::Idle => "it was idle",
            EndReason::SingleUse => "it was for a single call",
            EndReason::ParentLost => "it lost its parent",
            EndReason::NeverConnected => "it never connected to its parent",
            EndReason::Lifetime => "it reached its maximum lifetime",
            EndReason::HostDeadline => "its host's deadline is near",
            EndReason::Signal(signal) => return write!(f, "it received signal {signal}"),
            EndReason::DrainRequested => "its parent asked it to drain",
        })
    }
}

/// A record of a runner's log, as the runner sends it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogMessage {
    /// The call that was running, as a [`CallId`](crate::ids::CallId).
    pub call: Option<u64>,
    /// The severity.
    pub level: Level,
    /// The module that logged it. Cut off at 256 bytes.
    #[serde(serialize_with = "text::at_most::<_, MAX_LOG_TARGET>")]
    pub target: String,
    /// The text. Cut off at [`MAX_LOG_TEXT`] bytes.
    #[serde(serialize_with = "text::at_most::<_, MAX_LOG_TEXT>")]
    pub text: String,
    /// How many records the runner has dropped before this one, which says so. 0 for the records of
    /// the app.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The severity of a log line, most severe first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may be about to fail.
    Warn,
    /// Something worth knowing.
    Info,
    /// Something that helps to find a bug.
    Debug,
    /// Everything.
    Trace,
}

impl ParentToRunner {
    /// Encodes the message.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above [`MAX_CONTROL`], which no message of this version reaches.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        pack::encode("control message", self, MAX_CONTROL).map(Bytes::from)
    }

    /// Decodes the message that fills `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if the message is longer than [`MAX_CONTROL`], malformed, or of an unknown
    /// kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        pack::decode("control message", bytes, MAX_CONTROL)
    }
}

impl RunnerToParent {
    /// Encodes the message. The texts of a log record are cut off at their limits.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above [`MAX_CONTROL`], which no message of this version reaches.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        pack::encode("control message", self, MAX_CONTROL).map(Bytes::from)
    }

    /// Decodes the message that fills `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if the message is longer than [`MAX_CONTROL`], malformed, or of an unknown
    /// kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        pack::decode("control message", bytes, MAX_CONTROL)
    }
}

#[cfg(test)]
mod tests;
