//! Values into the body of a message.

use std::io::Write;

use flame_wire::body::{Body, BodyWriter};
use rmp_serde::{Serializer, encode::Error};
use serde::Serialize;

use super::{CodecError, Wire, bytes};

/// Writes `value` as MessagePack with named fields.
pub(super) fn write<T: Wire>(out: impl Write, value: &T) -> Result<(), Error> {
    match bytes::of(value) {
        Some(bytes) => write_as_is(out, bytes),
        None => write_as_is(out, value),
    }
}

/// Writes `value` as its `Serialize` says.
fn write_as_is<T: Serialize + ?Sized>(out: impl Write, value: &T) -> Result<(), Error> {
    value.serialize(&mut Serializer::new(out).with_struct_map())
}

/// Writes values one behind another, in place: the message is made around them.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct Encoder(BodyWriter);

impl Encoder {
    pub(crate) fn value<T: Wire>(&mut self, value: &T) -> Result<(), Error> {
        write(&mut self.0, value)
    }

    /// For what is not [`Wire`] itself but is written as if it were: a borrowed form.
    pub(crate) fn borrowed<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        write_as_is(&mut self.0, value)
    }

    pub(crate) fn finish(self, blobs: Vec<::bytes::Bytes>) -> Result<Body, CodecError> {
        Ok(self.0.finish(blobs)?)
    }
}
