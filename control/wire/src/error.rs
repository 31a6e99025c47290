//! The errors of every encoder and decoder of this crate, and the printing of error chains.
//!
//! Decoders handle bytes from attackers and from peers of another version. On invalid bytes they
//! return a [`DecodeError`]. They never panic, and never allocate more than the bytes at hand.

use std::error::Error;
use std::fmt;

use crate::text;

/// The longest reason in a [`DecodeError::BadValue`], in bytes. Part of it may be text from the
/// peer.
const MAX_REASON: usize = 256;

/// Why bytes could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the value is complete.
    #[error("the {what} is truncated")]
    TooShort {
        /// What was being decoded.
        what: &'static str,
    },
    /// The value is longer than this side accepts.
    #[error("the {what} has length {len}, but the limit is {max}")]
    TooLong {
        /// What was being decoded.
        what: &'static str,
        /// The length: bytes, or elements of a list.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The length is impossible for this kind of value.
    #[error("a {what} cannot have a length of {len} bytes")]
    BadLength {
        /// What was being decoded.
        what: &'static str,
        /// The length, in bytes.
        len: usize,
    },
    /// Bytes are left over after the value.
    #[error("there are extra bytes after the {what}")]
    Trailing {
        /// What was being decoded.
        what: &'static str,
    },
    /// This version does not know the kind.
    #[error("unknown kind of {what}: {kind}")]
    UnknownKind {
        /// What was being decoded.
        what: &'static str,
        /// The unknown kind.
        kind: u8,
    },
    /// The peer speaks another version of the protocol.
    #[error("the {what} is of protocol version {found}, but this side speaks version {known}")]
    OtherVersion {
        /// What was being decoded.
        what: &'static str,
        /// The peer's version.
        found: u16,
        /// This side's version.
        known: u16,
    },
    /// The bytes are complete, but contain an invalid value.
    #[error("the {what} is malformed: {reason}")]
    BadValue {
        /// What was being decoded.
        what: &'static str,
        /// What is wrong, at most 256 bytes.
        reason: String,
    },
}

impl DecodeError {
    pub(crate) fn bad_value(what: &'static str, reason: impl std::fmt::Display) -> Self {
        DecodeError::BadValue { what, reason: text::display(&reason, MAX_REASON) }
    }
}

/// Why a value could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The value is too long for its message.
    #[error("the {what} has length {len}, but the limit is {max}")]
    TooLong {
        /// What was being encoded.
        what: &'static str,
        /// The length: bytes, or elements of a list.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The value can't be encoded.
    #[error("the {what} can't be encoded: {reason}")]
    BadValue {
        /// What was being encoded.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// The operating system provides no random bytes, so no secrets and no unique ids can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system provides no random bytes")]
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
