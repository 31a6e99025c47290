//! Values out of the body of a message.

use rmp_serde::{
    Deserializer,
    decode::{Error, ReadRefReader},
};
use serde::Deserialize;

use super::{CodecError, Wire, bytes};

/// How deep a value may nest. Decoding recurses, and a thread's stack is 2 MiB: what a stranger
/// sends must not overflow it, not even in a build without optimization.
const MAX_DEPTH: usize = 256;

/// Reads values one behind another.
#[doc(hidden)]
pub struct Decoder<'b>(Deserializer<ReadRefReader<'b, [u8]>>);

impl<'b> Decoder<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        let mut deserializer = Deserializer::from_read_ref(bytes);
        deserializer.set_max_depth(MAX_DEPTH);
        Self(deserializer)
    }

    pub(crate) fn value<T: Wire>(&mut self) -> Result<T, Error> {
        if bytes::is::<T>() {
            let read = serde_bytes::ByteBuf::deserialize(&mut self.0)?;
            let value = bytes::into(read.into_vec());
            return value.ok_or_else(|| Error::Uncategorized("bytes are not bytes".to_owned()));
        }
        T::deserialize(&mut self.0)
    }

    /// Makes sure that nothing is left.
    pub(crate) fn finish(mut self) -> Result<(), CodecError> {
        // The deserializer does not say how far it has come, but asked for one more value, even
        // the smallest, it fails to read a marker only where there is none.
        match <()>::deserialize(&mut self.0) {
            Err(Error::InvalidMarkerRead(_)) => Ok(()),
            _ => Err(CodecError::Trailing),
        }
    }
}
