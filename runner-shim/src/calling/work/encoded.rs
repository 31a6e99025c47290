//! A work on its way to a runner, and the decoder for its replies.

use std::{fmt, sync::Arc};

use flame_wire::{
    body::{Body, Value},
    ids::FunctionId,
};

use super::CallOptions;
use crate::calling::{
    blob::BlobTable,
    channel::{ChannelEnd, ChannelTable},
    codec::{Codec, CodecError},
    held::{HeldGuard, HeldSource, HeldTable},
    side_tables::SideTables,
};

/// Work that is ready to be sent. It borrows nothing.
#[non_exhaustive]
pub struct EncodedWork {
    /// Names the function on the wire.
    pub function: FunctionId,
    /// Module path and name, for messages.
    pub name: &'static str,
    /// The encoded arguments.
    pub body: Body,
    /// The byte side of each channel end among the arguments. Each needs a stream of the link, and
    /// the call's header declares the streams in this order.
    pub channel_ends: Vec<ChannelEnd>,
    /// The guards of the held values among the arguments. Only the runner that holds them can serve
    /// the call; the pool checks that.
    pub held_guards: Vec<Arc<dyn HeldGuard>>,
    /// The options for the pool.
    pub options: CallOptions,
}

impl fmt::Debug for EncodedWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedWork")
            .field("name", &self.name)
            .field("bytes", &self.body.len())
            .field("channel_ends", &self.channel_ends.len())
            .field("held_guards", &self.held_guards.len())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Decodes the replies to one work.
pub struct ReplyDecoder<T>(Codec<T>);

impl<T> ReplyDecoder<T> {
    pub(super) fn new(codec: Codec<T>) -> Self {
        Self(codec)
    }

    /// The result or the item in `value`. `held` is the origin of its held values; without it,
    /// there may be none.
    ///
    /// # Errors
    /// If the bytes are not a value of type `T`.
    ///
    /// # Panics
    /// If the `Deserialize` of `T` panics.
    pub fn decode(&self, value: Value, held: Option<HeldSource>) -> Result<T, CodecError> {
        let mut tables = SideTables {
            blobs: BlobTable::In(value.blobs),
            channel_ends: ChannelTable::None,
            held: HeldTable::ResultIn(held),
        };
        tables.scope(|| self.0.decode(&value.bytes))
    }
}

impl<T> Clone for ReplyDecoder<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ReplyDecoder<T> {}

impl<T> fmt::Debug for ReplyDecoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyDecoder").field(&self.0).finish()
    }
}
