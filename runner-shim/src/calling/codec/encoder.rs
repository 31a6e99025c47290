//! Encodes values into the body of a message.

use flame_wire::body::{Body, BodyWriter};
use serde::Serialize;

use super::{CodecError, format::ValueError, ser::Serializer};

/// Appends `value` to `out`.
pub(super) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), ValueError> {
    value.serialize(&mut Serializer::new(out))
}

/// Writes adjacent values in place: the message is made around them.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct Encoder(BodyWriter);

impl Encoder {
    /// Writes a value of a [`Wire`](super::Wire) type, or of its borrowed form.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        write(self.0.buffer(), value)
    }

    pub(crate) fn finish(self, blobs: Vec<::bytes::Bytes>) -> Result<Body, CodecError> {
        self.0.finish(blobs).map_err(|error| CodecError::TooLarge { reason: error.to_string() })
    }
}
