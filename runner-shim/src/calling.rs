//! What both ends need to name a function, carry its arguments, run it and carry its result back.
//!
//! An app marks functions with `#[remote]`. Each becomes an [`FunctionEntry`] in a table that the linker
//! builds, and calling it gives a [`Work`]: a call not yet made. Awaited, a work runs in this
//! process and never serializes. Given to a pool, it crosses:
//!
//! ```text
//!   parent                                             runner
//!   ------                                             ------
//!   thumbnails(video, 5) -> Work
//!     | Work::encode                                   table::find(function)
//!     v                                                  | Entry::invoke(Arguments)
//!   Encoded { function, body, ends, helds }  == link =>  v
//!                                                      Invocation { invoked, ends }
//!                                                        | poll the future or the stream
//!   Reply::decode(body) -> T           <= link ==        v
//!                                                      EncodedReply { body, held }
//! ```
//!
//! Three kinds of values do not travel as plain serde data, and each has a side table that is
//! filled while a value is encoded or decoded (`side_tables.rs`): big bytes ([`Blob`]) travel
//! beside the value, channel ends ([`Sender`], [`Receiver`]) become streams of the link, and held
//! values ([`Held`]) stay where they are and cross as a name.
//!
//! Invariants:
//! - Nothing here knows a socket, a pool or a clock. The link's driver moves what
//!   [`EncodedWork`] and [`PreparedCall`] hand out.
//! - Decoding never panics and takes no more memory than a small multiple of its input.
//! - Only functions of the table can run: no code crosses, only names and arguments.

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
pub use state::State;
pub use table::{FunctionEntry, Kind, Location, StateNeed, TableError};
pub use work::{CallOptions, EncodedWork, ReplyDecoder, StreamWork, Timeout, Work};

/// What the expansion of `#[remote]` and `call!` names, beside `Work` and `StreamWork`. Not part of the public API.
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
    pub use super::state::{AppState, HasState, StateParameter};
    pub use super::table::{ENTRIES, FunctionEntry, Kind, Location, StateNeed};
    pub use super::work::{Method, boxed_future, boxed_stream, stream_work, work};
    pub use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
    pub use linkme;
}
