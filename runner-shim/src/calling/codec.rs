//! Encodes the app's values as bytes: MessagePack with named fields, and a few extensions of it.
//!
//! Named fields let an app's existing types work as they are: `flatten`, `untagged`, `tag`,
//! `skip_serializing_if`, `default` and `serde_json::Value` need a self-describing format. The
//! [format] is our own, because no library keeps everything that serde's own in-memory buffer
//! keeps. `rmp` handles MessagePack itself. For large byte strings use a [`Blob`](super::Blob). A
//! list of `u8` is written as bytes, and read as the list that it is to serde.
//!
//! A value is read as it was written, or there is an error. The limits are:
//! - An untagged type gets the first variant that matches, as with JSON: `None` is nil like `()`, a
//!   `char` is text, a newtype is its content.
//! - `u128`, `i128` and `RawValue` are rejected behind `flatten`, `tag` and `untagged`: serde's own
//!   buffer can't keep them.
//! - A value that nests more than 256 levels deep is rejected when it is encoded.
//!
//! Invariants:
//! - The arguments of a call are adjacent values, one for each argument of the function.
//! - Whether a type can be sent is decided while the app compiles, by [`Argument`] for arguments
//!   and by [`ResultProbe`] for results.

mod argument;
mod bytes;
mod de;
pub(crate) mod decoder;
pub(crate) mod encoder;
mod error;
mod format;
mod reply;
mod ser;

use ::bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub use argument::{Argument, ArgumentCodec, ArgumentType, argument};
pub use error::{CodecError, Part};
pub use reply::{Codec, ErrorChainResult, ResultProbe, ResultType, SerdeResult, UnsupportedResult};

use decoder::Decoder;

/// A type whose values can be sent between an app and its runners.
///
/// Implemented for every type that can be serialized and deserialized, borrows nothing, and can be
/// sent between threads. Never implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross between an app and its runners",
    label = "cannot be serialized, or borrows, or is not `Send`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait Wire: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Wire for T {}

/// Encodes one value without side tables, such as a message of a channel.
pub(crate) fn encode<T: Wire>(value: &T) -> Result<Bytes, CodecError> {
    let mut bytes = Vec::with_capacity(64);
    encoder::write(&mut bytes, value)
        .map_err(|source| CodecError::encode::<T>(Part::Message, source))?;
    Ok(bytes.into())
}

/// Decodes a value that [`encode`] encoded.
pub(crate) fn decode<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.value().map_err(|source| CodecError::decode::<T>(Part::Message, source))?;
    decoder.finish()?;
    Ok(value)
}

#[cfg(test)]
mod tests;
