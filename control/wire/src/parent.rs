//! FLAME_PARENT: the document that a runner boots with.
//!
//! ```text
//! FLAME_PARENT := "flame" version "." base64url(len u16, check [8], document)     no padding
//!
//! len       of the document in bytes, little-endian: detects a truncated document
//! check     the first 8 bytes of SHA-256(document): detects an altered document
//! document  a MessagePack map, so that fields may be added
//! ```
//!
//! The document is passed in an environment variable, an ECS override or a Lambda event, so it is
//! plain ASCII and never longer than [`MAX_ENCODED`]. The check guards against accidents. Against
//! attackers, the token protects the parent, and the fingerprint protects the runner.
//!
//! A process without FLAME_PARENT is a parent. A process with an invalid FLAME_PARENT must report
//! it and exit: a runner that ran as a parent would serve the app's traffic and boot more runners.

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
use crate::token::{self, Token, Zeroizing};

mod limits;
mod valid;

pub use limits::RunnerLimits;
pub use valid::{check_address, check_addresses, check_pool};

/// The longest encoded document, in characters.
pub const MAX_ENCODED: usize = 1500;
/// How many addresses a document can have.
pub const MAX_ADDRESSES: usize = 3;
/// The longest address, in bytes.
pub const MAX_ADDRESS: usize = 384;
/// The longest list of addresses: the sum of their lengths in bytes. A document with longer
/// addresses might not fit [`MAX_ENCODED`].
pub const MAX_ADDRESSES_BYTES: usize = 512;
/// The longest name of a pool, in bytes.
pub const MAX_POOL: usize = 64;

const NAME: &str = "flame";
const LEN: usize = 2;
const CHECK: usize = 8;
/// The longest document that fits [`MAX_ENCODED`] behind its prefix, in bytes.
const MAX_DOCUMENT: usize = (MAX_ENCODED - 12) / 4 * 3 - LEN - CHECK;
/// Decodes the rest of a truncated document, to tell truncation from other damage.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// How a runner connects to its parent, how the two authenticate each other, and how long the
/// runner may live.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FlameParent {
    /// The addresses at which the runner finds its parent, the preferred one first: 1 to
    /// [`MAX_ADDRESSES`], as [`check_addresses`] checks them.
    pub addresses: Vec<String>,
    /// The runner.
    pub runner: RunnerRef,
    /// The token that proves it. It admits the runner once.
    #[serde(with = "token::wire")]
    pub token: Token,
    /// When the token expires by the parent's clock, in milliseconds of Unix time. Only the parent
    /// enforces it: a runner's clock may be wrong, so a runner uses it only in messages.
    #[serde(default)]
    pub expires_unix_ms: Option<u64>,
    /// The fingerprint of the key that the parent must hold.
    pub fingerprint: Fingerprint,
    /// The kind of host that the runner runs on.
    pub host: HostKind,
    /// The name of the runner's pool, at most [`MAX_POOL`] bytes.
    pub pool: String,
    /// How many parents are above the runner: 1 if its parent is not a runner itself.
    pub depth: u8,
    /// How long the runner may live, and how much it may send.
    pub limits: RunnerLimits,
}

/// The SHA-256 of a parent's certificate (DER).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(#[serde(with = "pack::byte_array")] pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
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

/// The kind of host that a runner runs on, which also decides how the runner can be stopped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostKind {
    /// Tasks in the parent's own process.
    Local,
    /// A child process of the parent.
    Process,
    /// An ECS task.
    Ecs,
    /// A Lambda invocation.
    Lambda,
    /// A container of a Docker engine.
    Docker,
    /// A Fly Machine.
    Fly,
}

impl fmt::Display for HostKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostKind::Local => "local",
            HostKind::Process => "process",
            HostKind::Ecs => "ecs",
            HostKind::Lambda => "lambda",
            HostKind::Docker => "docker",
            HostKind::Fly => "fly",
        })
    }
}

/// Why a FLAME_PARENT can't be used. Each text says what to do, and none contains any part of the
/// document.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParentError {
    /// FLAME_PARENT is empty.
    #[error(
        "FLAME_PARENT is empty: to start a parent, unset it; to start a runner, let a pool boot it"
    )]
    Empty,
    /// FLAME_PARENT does not begin with the right prefix.
    #[error(
        "FLAME_PARENT does not begin with `flame{known}.`: to start a parent, unset it; to start a \
         runner, pass on the value that the pool made unchanged",
        known = FlameParent::VERSION
    )]
    WrongPrefix,
    /// Another version of flame-aws made FLAME_PARENT.
    #[error(
        "FLAME_PARENT has version {found}, but this executable reads version {known}: deploy parent \
         and runner from the same build"
    )]
    UnknownVersion {
        /// The version of FLAME_PARENT.
        found: u16,
        /// The version that this executable reads.
        known: u16,
    },
    /// FLAME_PARENT contains characters that base64url does not have.
    #[error(
        "FLAME_PARENT is not base64url: character {at} is invalid; look for added quotes, spaces or \
         line breaks, and pass it on unchanged"
    )]
    NotBase64 {
        /// The position of the first invalid character, counted from 0.
        at: usize,
    },
    /// The end of FLAME_PARENT is missing.
    #[error(
        "FLAME_PARENT is truncated: it has {have} of {want} bytes; look for a limit on the length of \
         environment variables or overrides"
    )]
    Truncated {
        /// How many bytes FLAME_PARENT has.
        have: usize,
        /// How many bytes it should have at least.
        want: usize,
    },
    /// FLAME_PARENT is too long.
    #[error(
        "FLAME_PARENT has {len} characters, but never more than {max} when a pool makes it: look for \
         added text, and pass it on unchanged"
    )]
    TooLong {
        /// The length of FLAME_PARENT, in characters.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// FLAME_PARENT is complete, but was altered.
    #[error("FLAME_PARENT was altered (its checksum is wrong): pass it on unchanged")]
    Checksum,
    /// A field has an invalid value. Encoding such a document fails with this error, too.
    #[error(
        "`{field}` in FLAME_PARENT {reason}; correct it where the pool or its backend is configured"
    )]
    BadField {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with the value.
        reason: String,
    },
}

impl ParentError {
    fn bad(field: &'static str, reason: impl Into<String>) -> Self {
        ParentError::BadField { field, reason: reason.into() }
    }
}

impl FlameParent {
    /// The environment variable that carries the document.
    pub const ENV: &str = "FLAME_PARENT";
    /// The version of the document that this crate writes and reads.
    pub const VERSION: u16 = 1;

    /// Encodes the document as ASCII text of at most [`MAX_ENCODED`] characters. The text contains
    /// the token: pass it to the runner's environment, never to a command line or a log. It is
    /// overwritten when it is dropped.
    ///
    /// # Errors
    /// [`ParentError::BadField`] if [`decode`](Self::decode) would reject the value of a field,
    /// such as an address that is not the address of a WebSocket, or addresses that are too long
    /// together.
    pub fn encode(&self) -> Result<Zeroizing<String>, ParentError> {
        valid::all(self)?;
        let document = pack::encode_secret("document", self, MAX_DOCUMENT)
            .map_err(|error| ParentError::bad("document", error.to_string()))?;
        let len = u16::try_from(document.len())
            .map_err(|_| ParentError::bad("document", "is too long"))?;
        let check = check(&document);
        let bytes = Zeroizing::new([&len.to_le_bytes(), check.as_slice(), &document].concat());
        // A text that grows would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_ENCODED));
        text.push_str(&format!("{NAME}{}.", Self::VERSION));
        URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        Ok(text)
    }

    /// Decodes the text that [`encode`](Self::encode) made.
    ///
    /// # Errors
    /// [`ParentError`] says what is wrong with the text.
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

/// Takes the document out of `text`, and checks that it is complete and unaltered.
fn unseal(text: &str) -> Result<Zeroizing<Vec<u8>>, ParentError> {
    let (version, sealed) = text
        .strip_prefix(NAME)
        .and_then(|rest| rest.split_once('.'))
        .ok_or(ParentError::WrongPrefix)?;
    // Printed again and compared, so that `+1` and `01` are not versions.
    let found = version.parse::<u16>().ok().filter(|found| found.to_string() == version);
    let found = found.ok_or(ParentError::WrongPrefix)?;
    let known = FlameParent::VERSION;
    if found != known {
        return Err(ParentError::UnknownVersion { found, known });
    }
    let foreign = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if let Some(at) = sealed.find(foreign) {
        return Err(ParentError::NotBase64 { at: text.len() - sealed.len() + at });
    }
    let (strict, bytes) = match URL_SAFE_NO_PAD.decode(sealed) {
        Ok(bytes) => (true, Zeroizing::new(bytes)),
        Err(_) => (false, Zeroizing::new(decode_truncated(sealed))),
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
    Ok(Zeroizing::new(document.to_vec()))
}

/// The bytes of base64url text that was truncated anywhere.
fn decode_truncated(sealed: &str) -> Vec<u8> {
    // A single character at the end holds no byte.
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
