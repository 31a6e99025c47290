//! The protocol between a relay and a parent, and the paths of a relay.
//!
//! ```text
//! parent ── GET /v1/parent, Authorization: Bearer KEY ──▶ relay     the control connection
//!        ── Register, Unregister ─────────────────────▶
//!        ◀─ Welcome, RunnerWaiting, Draining, Rejected ──
//!
//! runner ── GET /v1/runner/REF ─────────────────────────▶ relay     the answer waits for the parent
//! parent ── GET /v1/socket/TICKET, Authorization ───────▶ relay     one for each RunnerWaiting
//!
//! The relay answers both upgrades, and from then on copies messages between the two sockets.
//! ```
//!
//! All three are WebSockets. On the control connection, each binary message is one
//! [`ParentToRelay`] or [`RelayToParent`]. On the other two, the relay copies binary messages
//! without looking into them. Both ends answer WebSocket pings.
//!
//! A relay keeps nothing beyond its connections. When a control connection ends, its registrations
//! end as well. The parent connects again and registers its runners again, at this relay or at
//! another one. Pairs of sockets that are connected stay connected.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entropy;
use crate::error::{DecodeError, EncodeError, NoEntropy};
use crate::hex::{self, Hex};
use crate::ids::RunnerRef;
use crate::pack;

/// The path of a control connection.
pub const PARENT_PATH: &str = "/v1/parent";
/// The path of a runner's socket, before the runner's ref.
pub const RUNNER_PATH: &str = "/v1/runner/";
/// The path of a parent's socket to one runner, before the ticket.
pub const SOCKET_PATH: &str = "/v1/socket/";

/// The longest message on a control connection, in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// How many runners one [`ParentToRelay`] may name.
pub const MAX_BATCH: usize = 1000;

/// A message from a parent to its relay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ParentToRelay {
    /// Runners that may connect to this parent. Registering a runner again renews its expiry.
    Register {
        /// At most [`MAX_BATCH`].
        runners: Vec<RunnerRef>,
        /// When the registration ends unless it is renewed, in milliseconds from now.
        #[serde(with = "pack::millis")]
        expires_in_ms: u64,
    },
    /// Runners that will not connect again. Sockets that are connected stay connected.
    Unregister {
        /// At most [`MAX_BATCH`].
        runners: Vec<RunnerRef>,
    },
}

/// A message from a relay to a parent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RelayToParent {
    /// The first message of a control connection.
    Welcome {
        /// Identifies the process of the relay. A relay that is restarted has another id.
        node: String,
        /// The address at which runners reach this very node, `ws://host:port` or `wss://`, without
        /// a path. `None`: the address that the parent has used.
        address: Option<String>,
        /// How many runners this parent may register.
        max_runners: u32,
    },
    /// A runner has connected. The parent must open a socket at [`SOCKET_PATH`] with this ticket.
    RunnerWaiting {
        /// The runner.
        runner: RunnerRef,
        /// Names the waiting socket. It is valid once.
        ticket: Ticket,
        /// How long the runner waits, in milliseconds.
        #[serde(with = "pack::millis")]
        within_ms: u64,
    },
    /// The relay is about to exit. The parent should connect elsewhere, and its runners as well.
    Draining {
        /// When the relay closes its sockets, in milliseconds from now.
        #[serde(with = "pack::millis")]
        within_ms: u64,
    },
    /// Runners that the relay did not register, because the parent has reached its limit.
    Rejected {
        /// The runners.
        runners: Vec<RunnerRef>,
        /// The limit.
        max_runners: u32,
    },
}

impl ParentToRelay {
    /// Encodes the message.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] if it has more than [`MAX_MESSAGE`] bytes.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        pack::encode("message to a relay", self, MAX_MESSAGE)
    }

    /// Decodes a message. Accepts any bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not a message, or if it names too many runners.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = pack::decode("message to a relay", bytes, MAX_MESSAGE)?;
        let (ParentToRelay::Register { runners, .. } | ParentToRelay::Unregister { runners }) =
            &message;
        if runners.len() > MAX_BATCH {
            let len = runners.len();
            return Err(DecodeError::TooLong { what: "list of runners", len, max: MAX_BATCH });
        }
        Ok(message)
    }
}

impl RelayToParent {
    /// Encodes the message.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] if it has more than [`MAX_MESSAGE`] bytes.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        pack::encode("message of a relay", self, MAX_MESSAGE)
    }

    /// Decodes a message. Accepts any bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not a message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        pack::decode("message of a relay", bytes, MAX_MESSAGE)
    }
}

/// Names a runner's socket that waits for the parent's. Its text is 32 lower-case hexadecimal
/// digits. Only the parent learns it, and it is valid once, so it appears in no log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(#[serde(with = "pack::byte_array")] [u8; 16]);

impl Ticket {
    /// The ticket with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Ticket(bytes)
    }

    /// Generates a ticket that nobody can guess.
    ///
    /// # Errors
    /// [`NoEntropy`] if the operating system provides no random bytes.
    pub fn generate() -> Result<Self, NoEntropy> {
        entropy::random_bytes().map(Ticket)
    }

    /// The ticket as the last part of a path.
    #[must_use]
    pub fn to_path(&self) -> String {
        Hex(&self.0).to_string()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// The text is not a [`Ticket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ticket is 32 lower-case hexadecimal digits")]
pub struct InvalidTicket;

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        hex::decode(text).map(Ticket).ok_or(InvalidTicket)
    }
}

#[cfg(test)]
mod tests;
