//! The parts of a remote method. An associated function next to the method returns them: to the
//! method, which makes the work, and to the table's entry, which is outside the impl block.

use futures_core::{future::BoxFuture, stream::BoxStream};

use super::{StreamWork, Work, stream_work, work};
use crate::calling::{
    codec::{Codec, CodecError, encoder::Encoder},
    table::FunctionEntry,
};

/// A remote method with arguments `A` and result or item `T`; `R` is its boxed future or stream.
#[doc(hidden)]
#[derive(Debug)]
pub struct Method<A, T, R> {
    entry: &'static FunctionEntry,
    encode: fn(&A, &mut Encoder) -> Result<(), CodecError>,
    start: fn(A) -> R,
    codec: fn() -> Codec<T>,
}

impl<A, T, R> Method<A, T, R> {
    #[must_use]
    pub const fn new(
        entry: &'static FunctionEntry,
        encode: fn(&A, &mut Encoder) -> Result<(), CodecError>,
        start: fn(A) -> R,
        codec: fn() -> Codec<T>,
    ) -> Self {
        Self { entry, encode, start, codec }
    }

    #[must_use]
    pub const fn entry(&self) -> &'static FunctionEntry {
        self.entry
    }
}

impl<'a, A: Send + 'a, T: 'a> Method<A, T, BoxFuture<'a, T>> {
    pub fn work(self, args: A) -> Work<'a, T> {
        work(self.entry, args, self.encode, self.start, (self.codec)())
    }
}

impl<'a, A: Send + 'a, T: 'a> Method<A, T, BoxStream<'a, T>> {
    pub fn work(self, args: A) -> StreamWork<'a, T> {
        stream_work(self.entry, args, self.encode, self.start, (self.codec)())
    }
}
