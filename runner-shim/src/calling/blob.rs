//! [`Blob`]: large byte strings that are sent next to the value they belong to.
//!
//! As part of MessagePack, 16 MiB of bytes are copied into the value and out of it again. A blob is
//! not copied: the value contains its index in a table, and the bytes are sent as they are.
//!
//! Invariants:
//! - With no side tables open (an app writes a blob as JSON, say), a blob is plain bytes.
//! - A blob decodes from either form, so the choice is the sender's alone.

use std::{borrow::Borrow, fmt, ops::Deref};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::side_tables::SideTables;

/// Blobs with fewer bytes are written into the value: copying them costs less than an entry in the
/// table.
const MIN_OUT_OF_LINE: usize = 1024;

/// The table of one message counts its blobs in 16 bits. Further blobs are written into the value.
const MAX_OUT_OF_LINE: usize = u16::MAX as usize;

/// Bytes that are sent without being copied into or out of the message they belong to.
///
/// Use it for arguments and results of more than a few KiB. It works like [`Bytes`]: cloning it is
/// cheap and shares the memory.
///
/// - It dereferences to a byte slice (`Deref<Target = [u8]>`) and converts from and into [`Bytes`]
///   and `Vec<u8>`.
/// - A blob that was received is a slice of its message, and keeps the whole message in memory for
///   as long as it lives. Copy the bytes out (`blob.to_vec()`) if you keep a small part for long.
/// - If the app itself serializes it (to JSON, say), it is plain bytes.
///
/// ```text
/// #[remote]
/// async fn rotate(image: Blob) -> Blob {
///     let mut pixels = image.to_vec();
///     pixels.reverse();
///     pixels.into()
/// }
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Blob(Bytes);

impl Blob {
    /// The bytes, shared and not copied.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.len())
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Blob {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&'static [u8]> for Blob {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Bytes::from_static(bytes))
    }
}

impl From<Blob> for Bytes {
    fn from(blob: Blob) -> Self {
        blob.0
    }
}

impl From<Blob> for Vec<u8> {
    fn from(blob: Blob) -> Self {
        blob.0.into()
    }
}

impl FromIterator<u8> for Blob {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        Self(bytes.into_iter().collect())
    }
}

/// The blobs of one value.
#[derive(Debug, Default)]
pub(crate) enum BlobTable {
    /// No table.
    #[default]
    None,
    /// Collects the blobs of the value that is being encoded.
    Out(Vec<Bytes>),
    /// The blobs of the value that is being decoded.
    In(Vec<Bytes>),
}

impl BlobTable {
    /// The index of `bytes` in the table; `None` if they are to be written into the value.
    fn put(&mut self, bytes: &Bytes) -> Option<u32> {
        match self {
            Self::Out(blobs) if bytes.len() >= MIN_OUT_OF_LINE && blobs.len() < MAX_OUT_OF_LINE => {
                blobs.push(bytes.clone());
                u32::try_from(blobs.len() - 1).ok()
            }
            _ => None,
        }
    }

    fn get(&self, index: u32) -> Option<Bytes> {
        match self {
            Self::In(blobs) => blobs.get(usize::try_from(index).ok()?).cloned(),
            _ => None,
        }
    }

    /// The blobs that were collected.
    pub(crate) fn into_collected(self) -> Vec<Bytes> {
        match self {
            Self::Out(blobs) => blobs,
            Self::None | Self::In(_) => Vec::new(),
        }
    }
}

/// A blob in a message is always written as bytes. The first byte is one of these two, and says
/// what the other bytes are. Neither occurs in UTF-8, so an untagged type can't mistake a blob for
/// text or for a number.
const INLINE: u8 = 0xfe;
const OUT_OF_LINE: u8 = 0xff;

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match SideTables::with(|tables| tables.blobs.put(&self.0)) {
            None => serializer.serialize_bytes(&self.0),
            Some(Some(index)) => {
                let [a, b, c, d] = index.to_le_bytes();
                serializer.serialize_bytes(&[OUT_OF_LINE, a, b, c, d])
            }
            Some(None) => serializer.serialize_bytes(&[&[INLINE], &self[..]].concat()),
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_byte_buf(BytesVisitor)?;
        if !SideTables::is_open() {
            return Ok(Self(bytes));
        }
        match &bytes[..] {
            [INLINE, ..] => Ok(Self(bytes.slice(1..))),
            &[OUT_OF_LINE, a, b, c, d] => {
                let index = u32::from_le_bytes([a, b, c, d]);
                let found = SideTables::with(|tables| tables.blobs.get(index)).flatten();
                found.map(Self).ok_or_else(|| {
                    de::Error::custom(format_args!("the message has no blob number {index}"))
                })
            }
            _ => Err(de::Error::custom("the bytes are not a blob")),
        }
    }
}

struct BytesVisitor;

impl<'de> de::Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }
}
