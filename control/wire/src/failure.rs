//! Why a call has no result, and how an app's own error is sent.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{DecodeError, EncodeError, sources};
use crate::ids::FunctionId;
use crate::{pack, text};

/// The longest encoded failure, in bytes.
pub const MAX_FAILURE: usize = 64 * 1024;
/// The longest message of a panic, or of one error in a chain, in bytes. The rest is cut off.
pub const MAX_TEXT: usize = 8 * 1024;
/// The longest backtrace, in bytes. The rest is cut off.
pub const MAX_BACKTRACE: usize = 32 * 1024;
/// How many errors of a chain are sent. Errors further down are left out.
pub const MAX_CHAIN: usize = 16;

const MAX_LOCATION: usize = 1024;

/// Why a call has no result. When a failure is sent, its texts are cut off at their limits.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallFailure {
    /// The function panicked.
    #[error("the function panicked: {message}")]
    Panicked {
        /// The panic message, at most [`MAX_TEXT`] bytes.
        #[serde(serialize_with = "text::at_most::<_, MAX_TEXT>")]
        message: String,
        /// File, line and column, at most 1 KiB.
        #[serde(serialize_with = "text::maybe_at_most::<_, MAX_LOCATION>")]
        location: Option<String>,
        /// The backtrace, at most [`MAX_BACKTRACE`] bytes.
        #[serde(serialize_with = "text::maybe_at_most::<_, MAX_BACKTRACE>")]
        backtrace: Option<String>,
    },
    /// The runner's executable does not have the function.
    #[error("the runner's executable has {known} remote functions, but not {id}")]
    UnknownFunction {
        /// The function that was called.
        id: FunctionId,
        /// How many remote functions the runner's executable has.
        known: u32,
    },
    /// The arguments could not be decoded, or the result could not be encoded.
    #[error("the call could not be encoded or decoded: {what}")]
    Codec {
        /// What was wrong, at most [`MAX_TEXT`] bytes.
        #[serde(serialize_with = "text::at_most::<_, MAX_TEXT>")]
        what: String,
    },
    /// The deadline of the call passed before the function returned.
    #[error("the call's deadline passed on the runner")]
    DeadlinePassed,
    /// The runner accepts no more calls, and did not start this one.
    #[error("the runner is draining and did not start the call")]
    Draining,
    /// Calls are nested too deep, which looks like an endless recursion.
    #[error("calls are nested deeper than {limit}")]
    DepthExceeded {
        /// How deep calls may nest.
        limit: u8,
    },
    /// The result is larger than the parent accepts.
    #[error("the result has {size} bytes, but the limit is {limit}")]
    TooLarge {
        /// The length of the result, in bytes.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The call was cancelled before the function returned.
    #[error("the call was cancelled on the runner")]
    Cancelled,
    /// The runner has no state of a type that the function takes, and did not start the call.
    #[error("the runner has no state of type `{state}`")]
    MissingState {
        /// The type of the state, at most [`MAX_TEXT`] bytes.
        #[serde(serialize_with = "text::at_most::<_, MAX_TEXT>")]
        state: String,
    },
}

impl CallFailure {
    /// Encodes the body of a FAILED message.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above [`MAX_FAILURE`], which no failure of this version reaches.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        pack::encode("failure", self, MAX_FAILURE).map(Bytes::from)
    }

    /// Decodes the failure that fills `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if the failure is longer than [`MAX_FAILURE`], malformed, or of an unknown
    /// kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        pack::decode("failure", bytes, MAX_FAILURE)
    }
}

/// The text of an error that can't be serialized, with the texts of its sources.
///
/// The caller of a function whose error type is `anyhow::Error`, or any `E: From<RemoteError>`,
/// gets its error as a `RemoteError`. It is serialized as the list of its messages, outermost
/// first.
///
/// ```
/// use std::error::Error;
/// use flame_wire::RemoteError;
///
/// let here = "seven".parse::<u32>().unwrap_err();
/// let there = RemoteError::of(&here);
/// assert_eq!(there.to_string(), "invalid digit found in string");
/// assert!(there.source().is_none());
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteError {
    message: String,
    source: Option<Box<RemoteError>>,
}

impl RemoteError {
    /// An error with this message, cut off at [`MAX_TEXT`] bytes, and without a source.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        RemoteError { message: text::display(&message, MAX_TEXT), source: None }
    }

    /// The texts of `error` and its sources: at most [`MAX_CHAIN`] errors of [`MAX_TEXT`] bytes
    /// each.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        Self::chain(
            text::display(&error, MAX_TEXT),
            sources(error)
                .take(MAX_CHAIN - 1)
                .map(|source| text::display(&source, MAX_TEXT))
                .collect(),
        )
    }

    /// The message of the outermost error.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The messages of the error and its sources, outermost first.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self), |error| error.source.as_deref())
            .map(|error| error.message.as_str())
    }

    fn chain(message: String, sources: Vec<String>) -> Self {
        let source = sources
            .into_iter()
            .rev()
            .fold(None, |source, message| Some(Box::new(RemoteError { message, source })));
        RemoteError { message, source }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for RemoteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Serialize for RemoteError {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.messages())
    }
}

impl<'de> Deserialize<'de> for RemoteError {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(RemoteErrorVisitor)
    }
}

/// Decodes a flat list, so that a long chain overflows the stack neither here nor when it is
/// dropped.
struct RemoteErrorVisitor;

impl<'de> Visitor<'de> for RemoteErrorVisitor {
    type Value = RemoteError;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the messages of an error and of its sources")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RemoteError, A::Error> {
        let cut = |message: String| text::bounded(&message, MAX_TEXT).into_owned();
        let Some(message) = list.next_element::<String>()?.map(cut) else {
            return Err(A::Error::custom("the list of messages is empty"));
        };
        let mut sources = Vec::new();
        while sources.len() < MAX_CHAIN - 1 {
            let Some(source) = list.next_element::<String>()? else { break };
            sources.push(cut(source));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RemoteError::chain(message, sources))
    }
}

#[cfg(test)]
mod tests;
