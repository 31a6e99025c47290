//! The errors of a mux: those of this side's caller, and those of the peer.

use crate::frame::StreamId;

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The stream is closed, or its last message has been sent.
    #[error("the stream has ended")]
    Ended,
    /// The message is longer than `max_message`.
    #[error("the message has {size} bytes, but the limit is {limit}")]
    TooLarge {
        /// The length of the message.
        size: u64,
        /// The limit.
        limit: u64,
    },
}

/// Why no stream was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} streams are open, and the peer accepts no more")]
pub struct TooManyStreams {
    /// The peer's `max_streams`.
    pub limit: usize,
}

/// The peer broke the protocol. The link cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MuxViolation {
    /// A message is longer than `max_message`.
    #[error("a message of {size} bytes was announced, but the limit is {limit}")]
    TooLarge {
        /// The announced length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The peer sent more on a stream than its window allows.
    #[error("the peer exceeded the window of stream {}", .0.0)]
    Window(StreamId),
    /// A frame without the beginning of its message, a beginning within a message, or bytes beyond
    /// the announced length.
    #[error("the frames of stream {} do not form a message", .0.0)]
    Sequence(StreamId),
    /// The peer opened a stream with a number of this side, or with one that is in use.
    #[error("the peer cannot open a stream with number {}", .0.0)]
    Number(StreamId),
    /// The peer opened more streams than `max_streams`.
    #[error("the peer opened more than {0} streams")]
    Streams(usize),
}
