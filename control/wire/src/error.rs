//! What can go wrong between a value and its bytes, for every codec of this crate.
//!
//! Decoders are given bytes by strangers and by peers of another version. They answer with a
//! [`DecodeError`]: never a panic, never an allocation larger than the bytes at hand.

use std::error::Error;
use std::fmt;

use crate::text;

/// The longest reason that a [`DecodeError::BadValue`] carries, in bytes: part of it may be the
/// peer's own text.
const MAX_REASON: usize = 256;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error("the {what} is cut short")]
    TooShort {
        /// What was being read.
        what: &'static str,
    },
    /// More than this side takes.
    #[error("the {what} is {len} long, at most {max} are taken")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// The length announced or met: bytes, or elements of a list.
        len: usize,
        /// The most that is taken.
        max: usize,
    },
    /// A length that this kind of value never has.
    #[error("a {what} is never {len} bytes long")]
    BadLength {
        /// What was being read.
        what: &'static str,
        /// The length announced or met, in bytes.
        len: usize,
    },
    /// Bytes are left over after the value.
    #[error("bytes are left over after the {what}")]
    Trailing {
        /// What was being read.
        what: &'static str,
    },
    /// A kind that this version does not know.
    #[error("there is no {what} of kind {kind}")]
    UnknownKind {
        /// What was being read.
        what: &'static str,
        /// The kind met.
        kind: u8,
    },
    /// The peer speaks another version of the protocol.
    #[error("the {what} is of protocol {found}, this side speaks {known}")]
    OtherVersion {
        /// What was being read.
        what: &'static str,
        /// The peer's version.
        found: u16,
        /// This side's version.
        known: u16,
    },
    /// The bytes are whole, but a value in them can't be.
    #[error("the {what} is malformed: {reason}")]
    BadValue {
        /// What was being read.
        what: &'static str,
        /// What is wrong; at most 256 bytes.
        reason: String,
    },
}

impl DecodeError {
    pub(crate) fn bad_value(what: &'static str, reason: impl std::fmt::Display) -> Self {
        DecodeError::BadValue { what, reason: text::of(&reason, MAX_REASON) }
    }
}

/// A value that does not fit its message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// More than the message can hold.
    #[error("the {what} is {len} long, at most {max} can be sent")]
    TooLong {
        /// What was being written.
        what: &'static str,
        /// Its length: bytes, or elements of a list.
        len: usize,
        /// The most that can be sent.
        max: usize,
    },
    /// The value has no encoding.
    #[error("the {what} can't be encoded: {reason}")]
    BadValue {
        /// What was being written.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// The operating system gave no random bytes, so nothing secret or unique can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoEntropy;

/// Displays an error and all of its [`sources`] on one line: `outer: cause: root cause`.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        sources(self.0).try_for_each(|source| write!(f, ": {source}"))
    }
}

/// The causes of `error`, without `error` itself, from the outermost to the root cause.
pub fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot save")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_shows_an_error_and_its_causes_on_one_line() {
        let error = Outer(std::io::Error::other("disk full"));
        assert_eq!(Chain(&error).to_string(), "cannot save: disk full");
        assert_eq!(sources(&error).count(), 1);
    }
}
