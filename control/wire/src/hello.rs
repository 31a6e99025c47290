//! The hello: the first exchange on each socket. The runner says which runner it is and proves it,
//! and the parent replies.
//!
//! ```text
//! runner ── Hello ─────▶ parent     inside TLS: the runner has checked the parent's key before
//! runner ◀─ HelloReply ─ parent     Welcome: the session starts. Rejected: the socket is closed.
//!                                   CodeOffered: the runner is of another build, see `code`.
//!
//! message := len u16, len bytes of MessagePack                 integers are little-endian
//! ```
//!
//! The boot token admits a runner once. `Welcome` carries the [resume key](Proof::ResumeKey) with
//! which the same runner may return when its socket has broken. A welcome may be lost with its
//! socket, so a parent that sends a new key with each welcome must accept the old key until the
//! runner has shown the new one.
//!
//! Both messages are maps, because two different builds have to be able to exchange them.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use crate::code::Offer;
use crate::error::{DecodeError, EncodeError};
use crate::ids::{BuildId, RunnerRef};
use crate::parent::HostKind;
use crate::token::{self, Token};
use crate::{pack, prefixed, text};

/// The version of the protocol. It is incremented when an older peer could no longer take part.
pub const PROTOCOL: u16 = 2;
/// The longest message of the exchange, including its length prefix, in bytes.
pub const MAX_HELLO: usize = prefixed::MAX;

const MAX_INSTANCE: usize = 512;
const MAX_MALFORMED: usize = 1024;

/// The first message on each socket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The runner's protocol version: [`PROTOCOL`].
    pub protocol: u16,
    /// The runner.
    pub runner: RunnerRef,
    /// The proof that it is this runner.
    pub proof: Proof,
    /// The build of its executable.
    pub build: BuildId,
    /// The backend's name for its instance: a process id, a task ARN, a request id. Cut off at 512
    /// bytes.
    #[serde(serialize_with = "text::at_most::<_, MAX_INSTANCE>")]
    pub instance: String,
    /// Its process id, if it is a process of its own.
    #[serde(default)]
    pub pid: Option<u32>,
    /// In how many milliseconds its host will kill it, if it knows.
    #[serde(default, with = "pack::maybe_millis")]
    pub expires_in_ms: Option<u64>,
    /// It runs its parent's executable, which it has downloaded during this boot.
    #[serde(default)]
    pub synced: bool,
    /// A random number that is the same in every hello of one process. A platform that delivers a
    /// request twice starts two runners with one FLAME_PARENT, and only this number tells them
    /// apart.
    #[serde(default)]
    pub incarnation: u64,
    /// A supervisor keeps its invocation open while it executes another program. So it can become
    /// its parent's executable, although other runners on this kind of host can't.
    #[serde(default)]
    pub supervised: bool,
}

/// How a runner proves that the parent it connects to has booted it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Proof {
    /// The token in its FLAME_PARENT, when it connects for the first time.
    BootToken(#[serde(with = "token::wire")] Token),
    /// The key in the last welcome that reached it, when its socket has broken.
    ResumeKey(#[serde(with = "token::wire")] Token),
}

/// The parent's reply to a hello.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HelloReply {
    /// The parent accepts the runner.
    Welcome {
        /// The key for [`Proof::ResumeKey`].
        #[serde(with = "token::wire")]
        resume: Token,
    },
    /// The parent rejects the runner. Connecting again will not help.
    Rejected(Rejection),
    /// The runner is of another build, but may download and execute the parent's executable, and
    /// then connect again.
    CodeOffered(Offer),
}

/// Why a parent rejects a runner.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Rejection {
    /// The token is not the one that was generated for this runner.
    #[error(
        "the token does not belong to this runner: let the pool boot its runners, and pass on the \
         FLAME_PARENT that it makes unchanged"
    )]
    WrongToken,
    /// The token has admitted a runner before.
    #[error(
        "the token has been used: a FLAME_PARENT boots one runner once, so do not restart, copy or \
         retry a runner outside its pool"
    )]
    UsedToken,
    /// The runner connected after its boot had been given up.
    #[error(
        "the token has expired, because the runner took longer than `boot_timeout` to connect: raise \
         `boot_timeout`, or make the runner start faster"
    )]
    ExpiredToken,
    /// The parent does not know the runner, or has given it up.
    #[error(
        "the parent does not know this runner: the parent gave it up, or has restarted; the pool boots \
         another runner if it needs one"
    )]
    UnknownRunner,
    /// The runner is of another build.
    #[error("the runner is of build {runner}, but its parent is of build {parent}: {sync}")]
    OtherBuild {
        /// The parent's build.
        parent: BuildId,
        /// The runner's build.
        runner: BuildId,
        /// Why the runner may not download the parent's executable.
        sync: NoCodeSync,
    },
    /// The runner speaks another version of the protocol.
    #[error(
        "the runner speaks protocol version {runner}, but its parent speaks version {parent}: build \
         both with the same version of flame-aws"
    )]
    OtherProtocol {
        /// The parent's version.
        parent: u16,
        /// The runner's version.
        runner: u16,
    },
    /// The pool is draining, and accepts no more runners.
    #[error("the pool is draining and accepts no more runners; nothing is wrong with this runner")]
    Draining,
    /// The hello could not be decoded.
    #[error(
        "the hello could not be decoded: {0}; build both sides with the same version of flame-aws"
    )]
    Malformed(#[serde(serialize_with = "text::at_most::<_, MAX_MALFORMED>")] String),
}

/// Why a runner of another build may not download its parent's executable. The text says what to
/// do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NoCodeSync {
    /// The pool's option `code_sync` is off.
    #[error(
        "deploy the same executable to both, or turn on the pool's option `code_sync` to let runners \
         download it (for one image on several architectures, set FLAME_BUILD_ID to the same value)"
    )]
    Disabled,
    /// On this kind of host, a runner without a supervisor can't execute another file.
    #[error(
        "deploy the same executable to both; `code_sync` does not help here, because a runner on \
         host `{0}` can't execute another file (in Lambda, the generic runner `flame-runner` can)"
    )]
    UnsupportedHost(HostKind),
    /// The runner executes the downloaded file, and is still of another build.
    #[error(
        "the runner executes the file that it downloaded from its parent, and is still of another \
         build: FLAME_BUILD_ID is set for only one of them, or differs; unset it, or set the same \
         value for both"
    )]
    StillAnotherBuild,
    /// The runner was offered the executable again and again.
    #[error(
        "the runner was offered its parent's executable {0} times, and never returned with it: find \
         out what breaks its connection, or deploy the same executable to both"
    )]
    TooManyOffers(u32),
}

/// The reply to a hello that the parent could not decode.
impl From<DecodeError> for Rejection {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::OtherVersion { found, known, .. } => {
                Rejection::OtherProtocol { parent: known, runner: found }
            }
            error => Rejection::Malformed(error.to_string()),
        }
    }
}

impl Hello {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above [`MAX_HELLO`]. That never happens, since the texts are cut
    /// off.
    pub fn encode_to(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        prefixed::encode("hello", self, out)
    }

    /// Takes the hello off `input`, or returns `None` if it is incomplete.
    ///
    /// # Errors
    /// [`DecodeError::OtherVersion`] if the runner speaks another version and its hello can't be
    /// decoded; another [`DecodeError`] if the hello is malformed or too long. [`Rejection::from`]
    /// turns the error into the parent's reply.
    pub fn decode(input: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let Some(message) = prefixed::take("hello", input)? else { return Ok(None) };
        decode_hello(&message).map(Some)
    }
}

impl HelloReply {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above [`MAX_HELLO`]. That never happens, since the texts are cut
    /// off.
    pub fn encode_to(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        prefixed::encode("reply to the hello", self, out)
    }

    /// Takes the reply off `input`, or returns `None` if it is incomplete.
    ///
    /// # Errors
    /// [`DecodeError`] if the reply is malformed or too long, or a rejection that this version does
    /// not know.
    pub fn decode(input: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let what = "reply to the hello";
        let Some(message) = prefixed::take(what, input)? else { return Ok(None) };
        prefixed::decode(what, &message).map(Some)
    }
}

/// Decodes a hello. If that fails, decodes at least the version, for a better reply.
fn decode_hello(message: &[u8]) -> Result<Hello, DecodeError> {
    #[derive(Deserialize)]
    struct Protocol {
        protocol: u16,
    }

    prefixed::decode("hello", message).map_err(|error| match prefixed::decode("hello", message) {
        Ok(Protocol { protocol }) if protocol != PROTOCOL => {
            DecodeError::OtherVersion { what: "hello", found: protocol, known: PROTOCOL }
        }
        _ => error,
    })
}

#[cfg(test)]
mod tests;
