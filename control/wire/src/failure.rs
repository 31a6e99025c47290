//! What a runner answers in place of a result, and how an app's own error crosses.

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
/// The longest message of a panic or of one error of a chain, in bytes; the rest is cut.
pub const MAX_TEXT: usize = 8 * 1024;
/// The longest backtrace that is sent, in bytes; the rest is cut.
pub const MAX_BACKTRACE: usize = 32 * 1024;
/// How many errors of a chain cross; those further down are left out.
pub const MAX_CHAIN: usize = 16;

const MAX_LOCATION: usize = 1024;

/// Why a call has no result. The texts are cut to their limits when it is sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Failure {
    /// The function panicked.
    #[error("the function panicked: {message}")]
    Panicked {
        /// What it said; up to [`MAX_TEXT`] bytes.
        #[serde(serialize_with = "text::at_most::<_, MAX_TEXT>")]
        message: String,
        /// File, line and column; up to 1 KiB.
        #[serde(serialize_with = "text::maybe_at_most::<_, MAX_LOCATION>")]
        location: Option<String>,
        /// Up to [`MAX_BACKTRACE`] bytes.
        #[serde(serialize_with = "text::maybe_at_most::<_, MAX_BACKTRACE>")]
        backtrace: Option<String>,
    },
    /// The runner's executable has no such function.
    #[error("the runner knows {known} functions, but not {id}")]
    UnknownFunction {
        /// The function that was called.
        id: FunctionId,
        /// How many functions the runner knows.
        known: u32,
    },
    /// The arguments could not be read, or the result could not be written.
    #[error("the call could not be encoded or decoded: {what}")]
    Codec {
        /// What was wrong; up to [`MAX_TEXT`] bytes.
        #[serde(serialize_with = "text::at_most::<_, MAX_TEXT>")]
        what: String,
    },
    /// The call's deadline had passed before it ran to its end.
    #[error("the call's deadline passed on the runner")]
    DeadlinePassed,
    /// The runner takes no more calls; this one was not started.
    #[error("the runner is draining and did not start the call")]
    Draining,
    /// Calls are nested too deep, which looks like recursion without end.
    #[error("calls are nested deeper than {limit}")]
    DepthExceeded {
        /// How deep calls may nest.
        limit: u8,
    },
    /// The result is larger than the parent takes.
    #[error("the result is {size} bytes long, at most {limit} are taken")]
    TooLarge {
        /// Its length, in bytes.
        size: u64,
        /// The most that is taken, in bytes.
        limit: u64,
    },
    /// The call was cancelled before it ran to its end.
    #[error("the call was cancelled on the runner")]
    Cancelled,
    /// The runner lacks a state that the function takes; the call was not started.
    #[error("the runner has no state of type `{state}`")]
    MissingState {
        /// The state's type; up to [`MAX_TEXT`] bytes.
        #[serde(serialize_with = "text::at_most::<_, MAX_TEXT>")]
        state: String,
    },
}

impl Failure {
    /// The body of a FAILED message.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] past [`MAX_FAILURE`], which no failure of today reaches.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        pack::encode("failure", self, MAX_FAILURE).map(Bytes::from)
    }

    /// Reads the failure that fills `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] where it is longer than [`MAX_FAILURE`], malformed, or of no known kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        pack::decode("failure", bytes, MAX_FAILURE)
    }
}

/// An error of the app that can't be serialized, as text with its chain of sources.
///
/// Functions whose error type is `anyhow::Error`, or any `E: From<RemoteError>`, give it to their
/// caller. It serializes as the list of its messages, outermost first.
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
    /// An error with this message, cut to [`MAX_TEXT`] bytes, and no source.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        RemoteError { message: text::of(&message, MAX_TEXT), source: None }
    }

    /// What `error` and its sources say: at most [`MAX_CHAIN`] errors of [`MAX_TEXT`] bytes each.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        Self::chain(
            text::of(&error, MAX_TEXT),
            sources(error).take(MAX_CHAIN - 1).map(|source| text::of(&source, MAX_TEXT)).collect(),
        )
    }

    /// What the outermost error says.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the error and its sources say, outermost first.
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
        from.deserialize_seq(Chain)
    }
}

/// Reads a flat list, so that a long chain takes neither the reader's stack nor, once dropped,
/// anyone else's.
struct Chain;

impl<'de> Visitor<'de> for Chain {
    type Value = RemoteError;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the messages of an error and of its sources")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RemoteError, A::Error> {
        let cut = |message: String| text::bounded(&message, MAX_TEXT).into_owned();
        let Some(message) = list.next_element::<String>()?.map(cut) else {
            return Err(A::Error::custom("an error without a message"));
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
