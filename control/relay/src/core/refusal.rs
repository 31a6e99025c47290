//! Why a relay refuses a connection, and the answer that the client gets.

use std::time::Duration;

/// Why a connection is refused. The text is the body of the HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The path does not exist.
    #[error(
        "this is a relay for flame-aws, and it has nothing at this path: parents and runners find \
         their paths by themselves; /healthz, /readyz and /metrics are for the operator"
    )]
    UnknownPath,
    /// The request is not a WebSocket upgrade.
    #[error("this path accepts WebSocket upgrades only (GET, Sec-WebSocket-Version 13)")]
    NotWebSocket,
    /// The request has no valid key.
    #[error("this path needs a valid relay key: Authorization: Bearer KEY")]
    Unauthorized,
    /// No parent has registered the runner.
    #[error("this runner is not registered at this relay, or its registration has ended")]
    UnknownRunner,
    /// No runner waits with this ticket for a parent with this key.
    #[error("no runner waits with this ticket: it was used, or the runner has left")]
    UnknownTicket,
    /// A limit is reached.
    #[error("too many {limit}: the limit of this relay is {max}")]
    TooMany {
        /// Which limit.
        limit: Limit,
        /// Its value.
        max: usize,
    },
    /// The relay is about to exit.
    #[error("this relay is draining: connect to another one")]
    Draining,
    /// The parent did not open its socket in time.
    #[error("the parent did not open a socket for this runner within {} s", waited.as_secs_f32())]
    ParentTimeout {
        /// How long the runner has waited.
        waited: Duration,
    },
    /// The parent's control connection ended while the runner waited.
    #[error("the parent of this runner has disconnected from this relay")]
    ParentLost,
    /// The operating system provides no random bytes for a ticket.
    #[error("this relay can't generate a ticket: its operating system provides no random bytes")]
    NoEntropy,
}

/// A limit on connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// [`Limits::connections`](super::Limits::connections).
    Connections,
    /// [`Limits::connections_per_address`](super::Limits::connections_per_address).
    PerAddress,
    /// [`Limits::connections_per_key`](super::Limits::connections_per_key).
    PerKey,
    /// The sockets of one runner that wait for its parent.
    WaitingPerRunner,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Limit::Connections => "connections",
            Limit::PerAddress => "connections from this address",
            Limit::PerKey => "connections with this key",
            Limit::WaitingPerRunner => "sockets of this runner that wait for its parent",
        })
    }
}

impl Refusal {
    /// The HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Refusal::Unauthorized => 401,
            Refusal::UnknownPath | Refusal::UnknownRunner | Refusal::UnknownTicket => 404,
            Refusal::NotWebSocket => 426,
            Refusal::TooMany { .. } => 429,
            Refusal::Draining | Refusal::NoEntropy => 503,
            Refusal::ParentTimeout { .. } | Refusal::ParentLost => 504,
        }
    }

    /// The reason in a word, for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Refusal::UnknownPath => "unknown_path",
            Refusal::NotWebSocket => "not_websocket",
            Refusal::Unauthorized => "unauthorized",
            Refusal::UnknownRunner => "unknown_runner",
            Refusal::UnknownTicket => "unknown_ticket",
            Refusal::TooMany { limit, .. } => match limit {
                Limit::Connections => "too_many_connections",
                Limit::PerAddress => "too_many_per_address",
                Limit::PerKey => "too_many_per_key",
                Limit::WaitingPerRunner => "too_many_waiting",
            },
            Refusal::Draining => "draining",
            Refusal::ParentTimeout { .. } => "parent_timeout",
            Refusal::ParentLost => "parent_lost",
            Refusal::NoEntropy => "no_entropy",
        }
    }
}
