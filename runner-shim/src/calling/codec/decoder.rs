//! Decodes values from the body of a message.

use serde::Deserialize;

use super::{CodecError, Wire, bytes::FastBytes, de::Deserializer, format::ValueError};

/// Reads adjacent values.
#[doc(hidden)]
pub struct Decoder<'b>(Deserializer<'b>);

impl<'b> Decoder<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(Deserializer::new(bytes))
    }

    pub(crate) fn value<T: Wire>(&mut self) -> Result<T, ValueError> {
        FastBytes::deserialize(&mut self.0).map(|FastBytes(value)| value)
    }

    /// Reads a result with these types on both sides.
    pub(crate) fn result<T: Wire, E: Wire>(&mut self) -> Result<Result<T, E>, ValueError> {
        let result = Result::<FastBytes<T>, E>::deserialize(&mut self.0)?;
        Ok(result.map(|FastBytes(value)| value))
    }

    /// Checks that no bytes are left.
    pub(crate) fn finish(self) -> Result<(), CodecError> {
        if self.0.is_at_end() { Ok(()) } else { Err(CodecError::Trailing) }
    }
}
