//! What can go wrong in a channel.

use crate::calling::codec::CodecError;

/// Why a message was not sent, or not received.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The receiver has been dropped or closed, on purpose: what is sent is not wanted any more.
    #[error("the channel is closed: its receiver has been dropped")]
    Closed,
    /// The link between the two ends was lost, the work that had the other end is gone, or its
    /// runner had to end before all of it was read. Messages sent shortly before may not have
    /// arrived.
    #[error("the other end of the channel was lost: {reason}")]
    Lost {
        /// What happened, for people.
        reason: String,
    },
    /// This end was an argument of work that has been given to a pool, which now has it.
    #[error("this end of the channel has been sent away as an argument; it can be used only there")]
    SentAway,
    /// The message does not encode.
    #[error(transparent)]
    Encode(CodecError),
    /// The message is not of the channel's type.
    #[error(transparent)]
    Decode(CodecError),
}
