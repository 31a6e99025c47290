//! MessagePack for the messages of this crate that are not on the hot path.
//!
//! Structs are encoded as maps, so that fields may be added: a decoder ignores fields that it does
//! not know, and fills in missing fields that have a default.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::{DecodeError, EncodeError};

/// How deep lists and maps may nest. None of our messages comes close, but an unknown field in a
/// hostile message could otherwise overflow the decoder's stack.
const MAX_NESTING: usize = 32;

/// Encodes `value` as a MessagePack map of at most `max` bytes.
pub(crate) fn encode(
    what: &'static str,
    value: &impl Serialize,
    max: usize,
) -> Result<Vec<u8>, EncodeError> {
    let bytes = rmp_serde::to_vec_named(value)
        .map_err(|error| EncodeError::BadValue { what, reason: error.to_string() })?;
    if bytes.len() > max {
        return Err(EncodeError::TooLong { what, len: bytes.len(), max });
    }
    Ok(bytes)
}

/// Like [`encode`], for a value with a secret: no copy of its bytes stays in memory.
pub(crate) fn encode_secret(
    what: &'static str,
    value: &impl Serialize,
    max: usize,
) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    // A buffer that grows would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max));
    rmp_serde::encode::write_named(&mut *bytes, value)
        .map_err(|error| EncodeError::BadValue { what, reason: error.to_string() })?;
    if bytes.len() > max {
        return Err(EncodeError::TooLong { what, len: bytes.len(), max });
    }
    Ok(bytes)
}

/// Decodes the value that fills `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(
    what: &'static str,
    mut bytes: &[u8],
    max: usize,
) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLong { what, len: bytes.len(), max });
    }
    let mut reader = rmp_serde::Deserializer::new(&mut bytes);
    reader.set_max_depth(MAX_NESTING);
    let value = T::deserialize(&mut reader).map_err(|error| DecodeError::bad_value(what, error))?;
    if bytes.is_empty() { Ok(value) } else { Err(DecodeError::Trailing { what }) }
}

/// Durations in milliseconds. A duration longer than [`MAX_MS`](crate::time::MAX_MS) means "never",
/// and is encoded as `MAX_MS`. A decoder rejects it.
pub(crate) mod millis {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::MAX_MS;

    pub(crate) fn serialize<S: Serializer>(millis: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64((*millis).min(MAX_MS))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        u64::deserialize(from).and_then(checked)
    }

    pub(super) fn checked<E: Error>(millis: u64) -> Result<u64, E> {
        if millis > MAX_MS {
            return Err(E::custom(format_args!("{millis} ms is more than ten years")));
        }
        Ok(millis)
    }
}

/// The same for an optional duration.
pub(crate) mod maybe_millis {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::MAX_MS;

    pub(crate) fn serialize<S: Serializer>(millis: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        millis.map(|millis| millis.min(MAX_MS)).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Option::<u64>::deserialize(from)?.map(super::millis::checked).transpose()
    }
}

/// Byte arrays, encoded as MessagePack `bin` rather than as a list of numbers.
pub(crate) mod byte_array {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        from: D,
    ) -> Result<[u8; N], D::Error> {
        from.deserialize_bytes(ByteArray)
    }

    struct ByteArray<const N: usize>;

    impl<'de, const N: usize> Visitor<'de> for ByteArray<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(A::Error::custom("expected bytes, but found a list of numbers"))
        }
    }
}
