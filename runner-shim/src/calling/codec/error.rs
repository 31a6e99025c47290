//! Why a value could not be encoded or decoded.

use std::{any::type_name, fmt, sync::Arc};

use flame_wire::failure::CallFailure;

use super::format::ValueError;

/// Why arguments, a result or a message could not be encoded or decoded.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value's `Serialize` failed, or the format can't represent the value, because it nests
    /// more than 256 levels deep.
    #[error("cannot encode {part} of type `{value}`: {reason}")]
    Encode {
        /// Which value of the call it is.
        part: Part,
        /// Its type.
        value: &'static str,
        /// serde's message.
        reason: Arc<str>,
    },
    /// The bytes are not a value of that type.
    #[error("cannot decode {part} of type `{value}`: {reason}")]
    Decode {
        /// Which value of the call it is.
        part: Part,
        /// The expected type.
        value: &'static str,
        /// serde's message.
        reason: Arc<str>,
    },
    /// There are more bytes than values expected.
    #[error(
        "there are bytes after the last value: parent and runner disagree on the function's types"
    )]
    Trailing,
    /// The value is longer than a message can be.
    #[error("the value is too large for a message: {reason}")]
    TooLarge {
        /// Its size, and the limit.
        reason: String,
    },
    /// The work had already started to run here when it was given to a pool.
    #[error(
        "`{function}` has started to run in this process, and can no longer be sent to a runner"
    )]
    Started {
        /// Module path and name.
        function: &'static str,
    },
    /// The process that sends or runs the call lacks a state that the function needs.
    #[error(
        "`{function}` takes `#[state]` of type `{state}`, which is not registered in this process: \
         add `.state(..)` with a value of that type to `App::new()`, and call remote functions \
         inside `run`"
    )]
    MissingState {
        /// Module path and name.
        function: &'static str,
        /// The state's type.
        state: &'static str,
    },
}

/// Which value of a call could not be encoded or decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The argument of that name.
    Argument(&'static str),
    /// The result, or an item of a stream.
    Result,
    /// A message of a channel.
    Message,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(name) => write!(f, "argument `{name}`"),
            Self::Result => f.write_str("the result"),
            Self::Message => f.write_str("a message"),
        }
    }
}

impl CodecError {
    pub(crate) fn encode<T: ?Sized>(part: Part, reason: ValueError) -> Self {
        Self::Encode { part, value: type_name::<T>(), reason: reason.into_text() }
    }

    pub(crate) fn decode<T: ?Sized>(part: Part, reason: ValueError) -> Self {
        Self::Decode { part, value: type_name::<T>(), reason: reason.into_text() }
    }
}

/// The runner's answer when the arguments or the result of a call can't be encoded or decoded.
impl From<CodecError> for CallFailure {
    fn from(error: CodecError) -> Self {
        if let CodecError::MissingState { state, .. } = error {
            return Self::MissingState { state: state.to_owned() };
        }
        Self::Codec { what: error.to_string() }
    }
}
