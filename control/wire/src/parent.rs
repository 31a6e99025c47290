//! FLAME_PARENT: the document that a runner boots with.
//!
//! ```text
//! FLAME_PARENT := "flame" version "." base64url(len u16, check [8], document)     no padding
//!
//! len       of the document in bytes, little-endian: shows a document that was cut
//! check     the first 8 bytes of SHA-256(document): shows one that was altered
//! document  a MessagePack map, so that fields may be added
//! ```
//!
//! It travels in an environment variable, an ECS override or a Lambda event, so it is plain ASCII
//! and always under [`MAX_ENCODED`]. The check guards against accidents; against strangers there
//! is the token, and for the runner the fingerprint.
//!
//! A process without FLAME_PARENT is a parent. One with a bad FLAME_PARENT must say so and end:
//! a runner that took itself for a parent would serve the app's traffic and boot more runners.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::error::DecodeError;
use crate::hex::Hex;
use crate::ids::RunnerRef;
use crate::pack;
use crate::token::{self, Token};

mod limits;
mod valid;

pub use limits::RunnerLimits;
pub use valid::{check_address, check_pool};

/// The longest encoded document, in characters.
pub const MAX_ENCODED: usize = 1500;
/// The longest address, in bytes.
pub const MAX_ADDRESS: usize = 384;
/// The longest name of a pool, in bytes.
pub const MAX_POOL: usize = 64;

const NAME: &str = "flame";
const LEN: usize = 2;
const CHECK: usize = 8;
/// The longest document that fits [`MAX_ENCODED`] behind its prefix, in bytes.
const MAX_DOCUMENT: usize = (MAX_ENCODED - 12) / 4 * 3 - LEN - CHECK;
/// Reads what is left of a document that was cut, to tell this from other damage.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Where a runner's parent is, how the two know each other, and how long the runner may live.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FlameParent {
    /// What the runner dials, `ws://host:port/path` or `wss://`; at most [`MAX_ADDRESS`] bytes.
    pub address: String,
    /// Which runner it is.
    pub runner: RunnerRef,
    /// What proves it. Good for one hello.
    #[serde(with = "token::wire")]
    pub token: Token,
    /// When the token expires by the parent's clock, in milliseconds of Unix time. The parent
    /// decides; a runner, whose clock may be wrong, can only mention it.
    #[serde(default)]
    pub expires_unix_ms: Option<u64>,
    /// The key that the parent must have.
    pub fingerprint: Fingerprint,
    /// What the runner runs in.
    pub host: HostKind,
    /// The pool it belongs to; at most [`MAX_POOL`] bytes.
    pub pool: String,
    /// How many parents are above the runner: 1 where its parent is no runner itself.
    pub depth: u8,
    /// How long it may live and how much it may send.
    pub limits: RunnerLimits,
}

/// The SHA-256 of a parent's certificate (DER).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(#[serde(with = "pack::fixed")] pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate given as DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Fingerprint(sha256(certificate))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// What a runner runs in, and so how it ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostKind {
    /// Tasks of the parent's own process.
    Local,
    /// A child process of the parent.
    Process,
    /// An ECS task.
    Ecs,
    /// A Lambda invocation.
    Lambda,
}

impl fmt::Display for HostKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostKind::Local => "local",
            HostKind::Process => "process",
            HostKind::Ecs => "ecs",
            HostKind::Lambda => "lambda",
        })
    }
}

/// Why a FLAME_PARENT can't be used. Each says what to do; none shows any part of the document.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParentError {
    /// There is nothing in it.
    #[error(
        "FLAME_PARENT is empty: unset it to start a parent; to start a runner, let a pool boot it"
    )]
    Empty,
    /// It does not begin as a FLAME_PARENT does.
    #[error(
        "FLAME_PARENT does not begin with `flame{known}.`: unset it to start a parent; to start a \
         runner, pass on the value that the pool made, unchanged",
        known = FlameParent::VERSION
    )]
    NotAParent,
    /// It was made by another version of flame-aws.
    #[error(
        "FLAME_PARENT is of version {found}, this executable reads version {known}: deploy parent \
         and runner from the same build"
    )]
    UnknownVersion {
        /// Its version.
        found: u16,
        /// The version that this side reads.
        known: u16,
    },
    /// It has characters which base64url has not.
    #[error(
        "FLAME_PARENT is not base64url from character {at} on: look for quotes, spaces or line \
         breaks added on its way, and pass it on unchanged"
    )]
    NotBase64 {
        /// The first character that does not belong, counted from 0.
        at: usize,
    },
    /// Its end is missing.
    #[error(
        "FLAME_PARENT is cut short: {have} of {want} bytes are there; look for a limit on the \
         length of environment variables or overrides"
    )]
    Truncated {
        /// How many bytes there are.
        have: usize,
        /// How many there should be, at least.
        want: usize,
    },
    /// It is longer than any FLAME_PARENT.
    #[error(
        "FLAME_PARENT has {len} characters, at most {max} are possible: look for what was added, \
         and pass it on unchanged"
    )]
    TooLong {
        /// Its length, in characters.
        len: usize,
        /// The longest possible.
        max: usize,
    },
    /// It is whole, but altered.
    #[error("FLAME_PARENT was altered on its way (its check fails): pass it on unchanged")]
    Checksum,
    /// A field has a value that it can't have. Also the answer to encoding such a document.
    #[error(
        "`{field}` in FLAME_PARENT {reason}; correct it where the pool or its backend is built"
    )]
    BadField {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ParentError {
    fn bad(field: &'static str, reason: impl Into<String>) -> Self {
        ParentError::BadField { field, reason: reason.into() }
    }
}

impl FlameParent {
    /// The environment variable that the document travels in.
    pub const ENV: &str = "FLAME_PARENT";
    /// The version of the document that this side writes and reads.
    pub const VERSION: u16 = 1;

    /// The document as text: ASCII, at most [`MAX_ENCODED`] characters. It holds the token: hand
    /// it to the runner's environment, never to a command line or a log.
    ///
    /// # Errors
    /// [`ParentError::BadField`] where a field has a value that [`decode`](Self::decode) would
    /// refuse, such as an address that is too long or no WebSocket's.
    pub fn encode(&self) -> Result<String, ParentError> {
        valid::all(self)?;
        let document = pack::encode("document", self, MAX_DOCUMENT)
            .map_err(|error| ParentError::bad("document", error.to_string()))?;
        let len = u16::try_from(document.len())
            .map_err(|_| ParentError::bad("document", "is too long"))?;
        let bytes = [&len.to_le_bytes(), check(&document).as_slice(), &document].concat();
        Ok(format!("{NAME}{}.{}", Self::VERSION, URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// A [`ParentError`] for each way in which it can be bad.
    pub fn decode(text: &str) -> Result<Self, ParentError> {
        if text.is_empty() {
            return Err(ParentError::Empty);
        }
        if text.len() > MAX_ENCODED {
            return Err(ParentError::TooLong { len: text.len(), max: MAX_ENCODED });
        }
        let document = unseal(text)?;
        let parent: Self = pack::decode("document", &document, MAX_DOCUMENT).map_err(unreadable)?;
        valid::all(&parent)?;
        Ok(parent)
    }
}

/// The document inside `text`, whole and unaltered.
fn unseal(text: &str) -> Result<Vec<u8>, ParentError> {
    let (version, sealed) = text
        .strip_prefix(NAME)
        .and_then(|rest| rest.split_once('.'))
        .ok_or(ParentError::NotAParent)?;
    // Written back, so that `+1` and `01` are no versions.
    let found = version.parse::<u16>().ok().filter(|found| found.to_string() == version);
    let found = found.ok_or(ParentError::NotAParent)?;
    let known = FlameParent::VERSION;
    if found != known {
        return Err(ParentError::UnknownVersion { found, known });
    }
    let foreign = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if let Some(at) = sealed.find(foreign) {
        return Err(ParentError::NotBase64 { at: text.len() - sealed.len() + at });
    }
    let (strict, bytes) = match URL_SAFE_NO_PAD.decode(sealed) {
        Ok(bytes) => (true, bytes),
        Err(_) => (false, as_far_as_it_goes(sealed)),
    };
    let truncated = |want| ParentError::Truncated { have: bytes.len(), want };
    let (len, rest) = bytes.split_first_chunk().ok_or(truncated(LEN + CHECK))?;
    let (expected, document) = rest.split_first_chunk::<CHECK>().ok_or(truncated(LEN + CHECK))?;
    let len = usize::from(u16::from_le_bytes(*len));
    if document.len() < len {
        return Err(truncated(LEN + CHECK + len));
    }
    if !strict || document.len() > len || check(document) != *expected {
        return Err(ParentError::Checksum);
    }
    Ok(document.to_vec())
}

/// The bytes of base64url that was cut anywhere.
fn as_far_as_it_goes(sealed: &str) -> Vec<u8> {
    // One character alone holds no byte.
    let whole = if sealed.len() % 4 == 1 { sealed.len() - 1 } else { sealed.len() };
    sealed.get(..whole).and_then(|whole| LENIENT.decode(whole).ok()).unwrap_or_default()
}

fn unreadable(error: DecodeError) -> ParentError {
    let reason = match error {
        DecodeError::BadValue { reason, .. } => reason,
        error => error.to_string(),
    };
    ParentError::bad("document", format!("can't be read: {reason}"))
}

fn check(document: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&sha256(document)[..CHECK]);
    check
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests;
