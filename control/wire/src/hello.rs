//! The first words on a socket: the runner says who it is and proves it, the parent answers.
//!
//! ```text
//! runner ── Hello ──▶ parent        inside TLS: the runner has already checked the parent's key
//! runner ◀─ Answer ── parent        Welcome: the session goes on. Refused: both close.
//!                                   Offered: it is of another build, see `code`.
//!
//! message := len u16, len bytes of MessagePack                 integers are little-endian
//! ```
//!
//! The boot token is good for one hello. `Welcome` brings the key with which the same runner may
//! come [again](Proof::Again) when its socket broke. A welcome may be lost with its socket: a parent
//! that gives a new key with each one must take the old key until the new one has been shown.
//!
//! Both messages are maps, since they are what two different builds can still say to each other.

use bytes::{Buf, BufMut, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::code::Offer;
use crate::error::{DecodeError, EncodeError};
use crate::ids::{BuildId, RunnerRef};
use crate::parent::HostKind;
use crate::token::{self, Token};
use crate::{pack, text};

/// The protocol that this side speaks. It counts up when an older peer could no longer follow.
pub const PROTOCOL: u16 = 2;
/// The longest message of the exchange, its length included, in bytes.
pub const MAX_HELLO: usize = 4 * 1024;

const PREFIX: usize = 2;
const MAX_INSTANCE: usize = 512;
const MAX_MALFORMED: usize = 1024;

/// What a runner says first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol it speaks: [`PROTOCOL`].
    pub protocol: u16,
    /// Which runner it is.
    pub runner: RunnerRef,
    /// How it proves it.
    pub proof: Proof,
    /// Its executable.
    pub build: BuildId,
    /// What its backend calls it: a process id, a task ARN, a request id. Sent up to 512 bytes.
    #[serde(serialize_with = "text::at_most::<_, MAX_INSTANCE>")]
    pub instance: String,
    /// Its process id, where it is a process of its own.
    #[serde(default)]
    pub pid: Option<u32>,
    /// In how many milliseconds its host will end it, if it knows.
    #[serde(default, with = "pack::maybe_millis")]
    pub expires_in_ms: Option<u64>,
    /// Whether it has fetched its parent's executable for this boot, and is it now.
    #[serde(default)]
    pub synced: bool,
    /// Random, and the same each time that it says hello: a platform that delivers an order twice
    /// starts two runners with one FLAME_PARENT, and only this tells them apart.
    #[serde(default)]
    pub life: u64,
}

/// How a runner proves that it was sent by the parent it dials.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Proof {
    /// With the token of its FLAME_PARENT: it comes for the first time.
    First(#[serde(with = "token::wire")] Token),
    /// With the key of the last welcome that reached it: its socket broke.
    Again(#[serde(with = "token::wire")] Token),
}

/// What the parent answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The runner is known, and may go on.
    Welcome {
        /// The key for [`Proof::Again`].
        #[serde(with = "token::wire")]
        resume: Token,
    },
    /// The runner is not wanted; dialing again will not help.
    Refused(Refusal),
    /// The runner is of another build, but may become the parent's executable and dial again.
    Offered(Offer),
}

/// Why a parent does not let a runner in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// The token is not the one that was made for this runner.
    #[error(
        "the token is not this runner's: boot runners through their pool, with the FLAME_PARENT it \
         gives, unchanged"
    )]
    WrongToken,
    /// The token has let a runner in before.
    #[error(
        "the token has been used: a FLAME_PARENT boots one runner once, so do not restart, copy or \
         retry a runner from outside its pool"
    )]
    UsedToken,
    /// The runner came after its boot had been given up.
    #[error(
        "the token has expired: the runner took longer than `boot_timeout`; raise it, or boot faster"
    )]
    ExpiredToken,
    /// The parent knows of no such runner, or has given it up.
    #[error(
        "the parent knows no such runner: it was given up, or its parent has restarted; the pool \
         boots another where one is needed"
    )]
    UnknownRunner,
    /// The runner is of another build.
    #[error("the runner is of build {runner}, its parent of build {parent}: {sync}")]
    OtherBuild {
        /// The parent's build.
        parent: BuildId,
        /// The runner's build.
        runner: BuildId,
        /// Why it was not given the parent's executable.
        sync: NoSync,
    },
    /// The runner speaks another protocol.
    #[error(
        "the runner speaks protocol {runner}, its parent protocol {parent}: build both with the \
         same version of flame-aws"
    )]
    OtherProtocol {
        /// The parent's protocol.
        parent: u16,
        /// The runner's protocol.
        runner: u16,
    },
    /// The pool is draining, and takes no more runners.
    #[error("the pool is draining and takes no more runners; nothing is wrong with this one")]
    Draining,
    /// The hello could not be understood.
    #[error(
        "the hello could not be understood: {0}; build both sides with the same version of flame-aws"
    )]
    Malformed(#[serde(serialize_with = "text::at_most::<_, MAX_MALFORMED>")] String),
}

/// Why a runner of another build is not given its parent's executable; displays what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NoSync {
    /// Its pool does not do that.
    #[error(
        "deploy the same executable to both, or let runners fetch their parent's by `code_sync` \
         (for one image on several architectures, set FLAME_BUILD_ID alike)"
    )]
    Off,
    /// It runs where a process can't become another program.
    #[error(
        "deploy the same executable to both; `code_sync` is of no use here, since a runner of kind \
         {0} can't become another program"
    )]
    Host(HostKind),
    /// It has been given it, and is of another build still.
    #[error(
        "it has fetched its parent's executable, and is of another build still: FLAME_BUILD_ID is \
         set for one of them; unset it there, or set it alike for both"
    )]
    Again,
    /// It was offered it again and again.
    #[error(
        "it was offered its parent's executable {0} times and did not come back as it: see what \
         cuts its connection, or deploy the same executable to both"
    )]
    TooOften(u32),
}

/// What a parent answers to a hello that it could not read.
impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::OtherVersion { found, known, .. } => {
                Refusal::OtherProtocol { parent: known, runner: found }
            }
            error => Refusal::Malformed(error.to_string()),
        }
    }
}

impl Hello {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] past [`MAX_HELLO`], which no hello reaches: its texts are bounded.
    pub fn encode_to(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        encode("hello", self, out)
    }

    /// Takes the hello off `input`; `None` where it is not whole yet.
    ///
    /// # Errors
    /// [`DecodeError::OtherVersion`] where the runner's protocol is another and its hello can't
    /// be read any more; any other [`DecodeError`] where it is malformed or too long.
    /// [`Refusal::from`] makes the answer of it.
    pub fn decode(input: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let Some(message) = take("hello", input)? else { return Ok(None) };
        read(&message).map(Some)
    }
}

impl Answer {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] past [`MAX_HELLO`], which no answer reaches: its texts are bounded.
    pub fn encode_to(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        encode("answer to the hello", self, out)
    }

    /// Takes the answer off `input`; `None` where it is not whole yet.
    ///
    /// # Errors
    /// [`DecodeError`] where it is malformed, too long, or a refusal that this version does not
    /// know.
    pub fn decode(input: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let what = "answer to the hello";
        let Some(message) = take(what, input)? else { return Ok(None) };
        unpack(what, &message).map(Some)
    }
}

/// Reads a hello; where that fails, at least the protocol, for a better answer.
fn read(message: &[u8]) -> Result<Hello, DecodeError> {
    #[derive(Deserialize)]
    struct Protocol {
        protocol: u16,
    }

    unpack("hello", message).map_err(|error| match unpack("hello", message) {
        Ok(Protocol { protocol }) if protocol != PROTOCOL => {
            DecodeError::OtherVersion { what: "hello", found: protocol, known: PROTOCOL }
        }
        _ => error,
    })
}

pub(crate) fn unpack<T: DeserializeOwned>(
    what: &'static str,
    message: &[u8],
) -> Result<T, DecodeError> {
    pack::decode(what, message, MAX_HELLO - PREFIX)
}

pub(crate) fn encode(
    what: &'static str,
    value: &impl Serialize,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let message = pack::encode(what, value, MAX_HELLO - PREFIX)?;
    let too_long = EncodeError::TooLong { what, len: message.len(), max: MAX_HELLO - PREFIX };
    out.put_u16_le(u16::try_from(message.len()).map_err(|_| too_long)?);
    out.put_slice(&message);
    Ok(())
}

/// Takes one message off `input`. Its length is refused before the rest of it is waited for.
pub(crate) fn take(
    what: &'static str,
    input: &mut BytesMut,
) -> Result<Option<BytesMut>, DecodeError> {
    let Some(&prefix) = input.first_chunk::<PREFIX>() else { return Ok(None) };
    let len = usize::from(u16::from_le_bytes(prefix));
    match len {
        0 => return Err(DecodeError::BadLength { what, len }),
        len if len > MAX_HELLO - PREFIX => {
            return Err(DecodeError::TooLong { what, len, max: MAX_HELLO - PREFIX });
        }
        len if input.len() < PREFIX + len => return Ok(None),
        _ => {}
    }
    input.advance(PREFIX);
    Ok(Some(input.split_to(len)))
}

#[cfg(test)]
mod tests;
