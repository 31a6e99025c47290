//! Why a link has ended, and why a message can't be sent or received.

use std::sync::Arc;

use flame_wire::EncodeError;
use flame_wire::mux::{SendError, TooManyStreams};

/// Why a link has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkEnd {
    /// This side closed the link.
    #[error("closed by this side")]
    Closed,
    /// The peer closed the link.
    #[error("closed by the other side")]
    ClosedByPeer,
    /// The socket broke, and no other replaced it within the reconnect timeout.
    #[error("the connection was lost ({why}) and not resumed in time")]
    Lost {
        /// Why the last socket was lost.
        why: String,
    },
    /// This side gave the peer up, because the peer's instance has died or has to be stopped.
    #[error("{why}")]
    Aborted {
        /// Why.
        why: String,
    },
    /// The peer broke the protocol.
    #[error("the other side broke the protocol: {why}")]
    Violation {
        /// How.
        why: String,
    },
}

/// The link has ended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the link has ended: {0}")]
pub struct LinkClosed(pub Arc<LinkEnd>);

/// Why a message can't be sent or received.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The link has ended.
    #[error(transparent)]
    Link(#[from] LinkClosed),
    /// The peer has reset the stream.
    #[error("the other side has reset the stream")]
    Reset,
    /// The message is too large, or the stream has ended.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The peer accepts no more streams.
    #[error(transparent)]
    TooManyStreams(#[from] TooManyStreams),
    /// The message can't be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
