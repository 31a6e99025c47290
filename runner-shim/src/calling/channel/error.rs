//! The errors of channels.

use crate::calling::codec::CodecError;

/// Why a message was not sent, or not received.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The receiver was dropped or closed on purpose: it wants no more messages.
    #[error("the channel is closed: its receiver has been dropped")]
    Closed,
    /// The link between the two ends was lost, the work that had the other end has ended, or its
    /// runner ended before all messages were read. Messages sent shortly before may not have
    /// arrived.
    #[error("the other end of the channel was lost: {reason}")]
    Lost {
        /// What happened, as text.
        reason: String,
    },
    /// This end was an argument of work that was given to a pool, and now belongs to that work.
    #[error(
        "this end of the channel was given to remote work as an argument, and can be used only there"
    )]
    SentAway,
    /// The message does not encode.
    #[error(transparent)]
    Encode(CodecError),
    /// The message is not of the channel's type.
    #[error(transparent)]
    Decode(CodecError),
}
