//! The code that parent and runner need to name a function, send its arguments, run it and return
//! its result.
//!
//! An app marks functions with `#[remote]`. Each becomes a [`FunctionEntry`] in a table that the
//! linker builds, and calling it returns a [`Work`]: a call that has not been made yet. Awaited, a
//! work runs in this process and never serializes. Given to a pool, it is sent to a runner:
//!
//! ```text
//!   parent                                               runner
//!   ------                                               ------
//!   thumbnails(video, 5) -> Work
//!     | Work::encode                                     table::find(function)
//!     v                                                    | FunctionEntry::invoke(Arguments)
//!   EncodedWork { function, body, .. }         == link =>  v
//!                                                        PreparedCall { execution, channel_ends }
//!                                                          | poll the future or the stream
//!   ReplyDecoder::decode(body) -> T          <= link ==    v
//!                                                        EncodedReply { body, held }
//! ```
//!
//! Three kinds of values are not sent as plain serde data. Each has a side table, which is filled
//! while a value is encoded and read while it is decoded (`side_tables.rs`). Large byte strings
//! ([`Blob`]) are sent next to the value. Channel ends ([`Sender`], [`Receiver`]) become streams of
//! the link. Held values ([`Held`]) stay on their runner, and only an id is sent.
//!
//! Invariants:
//! - This module knows no socket, no pool and no clock. The link's driver moves what
//!   [`EncodedWork`] and [`PreparedCall`] contain.
//! - Decoding never panics, and takes no more memory than a small multiple of its input.
//! - Only functions in the table can run: no code is sent, only ids and arguments.

pub mod blob;
pub mod channel;
pub mod codec;
pub mod held;
pub mod invoke;
pub(crate) mod side_tables;
pub mod state;
pub mod table;
pub mod work;

#[cfg(test)]
mod tests;

pub use blob::Blob;
pub use channel::{
    ChannelEnd, ChannelError, InboundMessages, OutboundMessages, Receiver, Sender, channel,
};
pub use codec::{Argument, Codec, CodecError, Wire};
pub use held::{Held, HeldGuard, HeldId, HeldSource, HeldStore, HeldValue, NotHere};
pub use invoke::{Arguments, CallScope, EncodedReply, Execution, PreparedCall};
pub use state::{State, StateNeed};
pub use table::{FunctionEntry, Kind, Location, TableError};
pub use work::{CallOptions, EncodedWork, ReplyDecoder, StreamWork, Timeout, Work};

/// The names that the expansion of `#[remote]` and `call!` uses, in addition to `Work` and
/// `StreamWork`. Not part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use super::codec::{
        ArgumentType, Codec, CodecError, ErrorChainResult, ResultProbe, ResultType, SerdeResult,
        UnsupportedResult, argument, decoder::Decoder, encoder::Encoder,
    };
    pub use super::invoke::{
        Arguments, PreparedCall, blocking, blocking_execution, future_execution, invoke,
        stream_execution,
    };
    pub use super::state::{AppState, HasState, StateNeed, StateParameter};
    pub use super::table::{ENTRIES, FunctionEntry, Kind, Location};
    pub use super::work::{Method, boxed_future, boxed_stream, stream_work, work};
    pub use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
    pub use linkme;
}
