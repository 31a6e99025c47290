//! How values of the app become bytes: MessagePack with named fields, and a few extensions of it.
//!
//! Named fields are what makes an app's existing types work as they are: `flatten`, `untagged`,
//! `tag`, `skip_serializing_if`, `default` and `serde_json::Value` need a format that describes
//! itself. The [format] is ours, since no library keeps all that serde's own in-memory buffer
//! keeps; of MessagePack itself, `rmp` takes care. Big bytes are best a [`Blob`](super::Blob); lists
//! of `u8` go as the bytes they are, and come back as the lists that serde says they are.
//!
//! A value comes back as it was, or there is an error. What remains:
//! - An untagged type gets the first variant that fits, as with JSON: `None` is a nil like `()`, a
//!   `char` a text, a newtype what is in it.
//! - `u128`, `i128` and `RawValue` are refused behind `flatten`, `tag` and `untagged`: serde's own
//!   buffer has no place for them.
//! - What nests more than 256 levels deep is refused where it is encoded.
//!
//! Invariants:
//! - The arguments of a call are values one behind another, as many as the function has.
//! - Whether a type can cross is decided while the app compiles, by [`Argument`] for arguments and
//!   by [`ResultProbe`] for results.

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

/// A type whose values can cross between an app and its runners.
///
/// Implemented for every type that can be serialized and deserialized, borrows nothing, and may
/// move between threads; there is nothing to implement by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross between an app and its runners",
    label = "cannot be serialized, or borrows, or is not `Send`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait Wire: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Wire for T {}

/// Encodes one value that has nothing beside it, such as a message of a channel.
pub(crate) fn encode<T: Wire>(value: &T) -> Result<Bytes, CodecError> {
    let mut bytes = Vec::with_capacity(64);
    encoder::write(&mut bytes, value)
        .map_err(|source| CodecError::encode::<T>(Part::Message, source))?;
    Ok(bytes.into())
}

/// Decodes what [`encode`] made.
pub(crate) fn decode<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.value().map_err(|source| CodecError::decode::<T>(Part::Message, source))?;
    decoder.finish()?;
    Ok(value)
}

#[cfg(test)]
mod tests;
