//! A work on its way: what goes out, and how to read what comes back.

use std::{fmt, sync::Arc};

use flame_wire::{
    body::{Body, Value},
    ids::FunctionId,
};

use super::Options;
use crate::calling::{
    blob::Blobs,
    channel::{ChannelEnd, Ends},
    codec::{Codec, CodecError},
    crossing::Crossing,
    held::{HeldGuard, HeldSource, Helds},
};

/// Work ready to cross. It borrows nothing of what it was made from.
#[non_exhaustive]
pub struct Encoded {
    /// Names the function on the wire.
    pub function: FunctionId,
    /// Module path and name, for people.
    pub name: &'static str,
    /// The encoded arguments.
    pub body: Body,
    /// The byte side of the channel ends among the arguments. Each needs a stream of the link,
    /// declared in this order in the call's header.
    pub ends: Vec<ChannelEnd>,
    /// What keeps the held values among the arguments. They can be served only by the runner that
    /// holds them; the pool checks that.
    pub helds: Vec<Arc<dyn HeldGuard>>,
    /// What the work asks of the pool.
    pub options: Options,
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("name", &self.name)
            .field("bytes", &self.body.len())
            .field("ends", &self.ends.len())
            .field("helds", &self.helds.len())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Reads the replies to one work.
pub struct Reply<T>(Codec<T>);

impl<T> Reply<T> {
    pub(super) fn new(codec: Codec<T>) -> Self {
        Self(codec)
    }

    /// The result, or the item, in `value`. `held` is where the held values in it come from;
    /// without it, there may be none.
    ///
    /// # Errors
    /// When the bytes are not a value of type `T`.
    ///
    /// # Panics
    /// When the `Deserialize` of `T` panics.
    pub fn decode(&self, value: Value, held: Option<HeldSource>) -> Result<T, CodecError> {
        let mut crossing = Crossing {
            blobs: Blobs::In(value.blobs),
            ends: Ends::None,
            helds: Helds::ResultIn(held),
        };
        crossing.scope(|| self.0.decode(&value.bytes))
    }
}

impl<T> Clone for Reply<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Reply<T> {}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&self.0).finish()
    }
}
