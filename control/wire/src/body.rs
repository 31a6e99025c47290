//! The body of a message that carries a value of the app: arguments, a result, an item.
//!
//! ```text
//! body := value_len u32, blobs u16, blob_len u64 ..., value, blob ...   integers are little-endian
//! ```
//!
//! The value is MessagePack. Blobs are the large byte strings of the value. They are sent beside
//! the value so that they are never copied: the sender passes them to the link as they are, and the
//! receiver gets slices of the message.
//!
//! A value is serialized directly into the buffer that is sent, behind room for the headers, which
//! are only known later. So a small message, including its headers, is one allocation and one part.

use bytes::{Buf, BufMut, Bytes};

use crate::error::{DecodeError, EncodeError};
use crate::mux::Payload;

/// How many blobs one value may have.
pub const MAX_BLOBS: usize = u16::MAX as usize;
/// The longest value without its blobs, in bytes.
pub const MAX_VALUE: usize = u32::MAX as usize;

/// The length of the body's header without the lengths of blobs, in bytes.
const HEAD: usize = 4 + 2;
/// Room before a value: for a call's header with all its options, and a body's header with two
/// blobs.
const HEADROOM: usize = 72;
/// How much a writer allocates at first. It is small, because a call keeps it while it waits in a
/// queue.
const INITIAL: usize = 192;
/// A value of up to this length is moved to the end of its buffer. That makes the buffer full, and
/// a full buffer becomes [`Bytes`] without another allocation.
const SMALL: usize = 1024;

/// Collects a serialized value for a [`Body`].
#[derive(Debug)]
pub struct BodyWriter {
    /// [`HEADROOM`], then the value.
    buf: Vec<u8>,
}

impl BodyWriter {
    /// An empty value.
    #[must_use]
    pub fn new() -> Self {
        let mut buf = Vec::with_capacity(INITIAL);
        buf.resize(HEADROOM, 0);
        BodyWriter { buf }
    }

    /// The buffer to append the value to. The bytes that it has at first are room for the headers,
    /// and must stay.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    /// Makes the body of the value in the buffer and the `blobs` beside it.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above [`MAX_VALUE`] or [`MAX_BLOBS`].
    pub fn finish(self, blobs: Vec<Bytes>) -> Result<Body, EncodeError> {
        let within = |what, len, max| {
            if len > max { Err(EncodeError::TooLong { what, len, max }) } else { Ok(()) }
        };
        within("value", self.buf.len().saturating_sub(HEADROOM), MAX_VALUE)?;
        within("list of blobs", blobs.len(), MAX_BLOBS)?;
        Ok(Body { buf: self.buf, blobs })
    }
}

impl Default for BodyWriter {
    fn default() -> Self {
        Self::new()
    }
}

/// An encoded value and its blobs, ready to be sent.
#[derive(Clone, Debug)]
pub struct Body {
    /// [`HEADROOM`], then at most [`MAX_VALUE`] bytes of value.
    buf: Vec<u8>,
    /// At most [`MAX_BLOBS`].
    blobs: Vec<Bytes>,
}

impl Body {
    /// The encoded length of the whole body, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no body is empty: it has a header")]
    #[must_use]
    pub fn len(&self) -> u64 {
        let own = (self.head_len() + self.value().len()) as u64;
        own + self.blobs.iter().map(|blob| blob.len() as u64).sum::<u64>()
    }

    /// The message that consists only of this body.
    #[must_use]
    pub fn into_parts(self) -> MessageParts {
        self.into_parts_behind(0, |_| ())
    }

    /// The value as the receiver would get it, for a value that does not leave the process.
    #[must_use]
    pub fn into_value(self) -> Value {
        let mut bytes = Bytes::from(self.buf);
        bytes.advance(HEADROOM);
        Value { bytes, blobs: self.blobs }
    }

    /// The message that consists of a header, which `write` fills with `header` bytes, and this
    /// body.
    pub(crate) fn into_parts_behind(
        mut self,
        header: usize,
        write: impl FnOnce(&mut &mut [u8]),
    ) -> MessageParts {
        let len = header as u64 + self.len();
        let head = header + self.head_len();
        let value = self.value().len();
        if value <= SMALL && head <= self.buf.capacity() - value {
            let start = self.buf.capacity() - value;
            self.buf.resize(self.buf.capacity(), 0);
            self.buf.copy_within(HEADROOM..HEADROOM + value, start);
            self.with_head_before(start, head, len, write)
        } else if head <= HEADROOM {
            self.with_head_before(HEADROOM, head, len, write)
        } else {
            let mut first = vec![0; head];
            self.write_heads(&mut first, value, write);
            let Value { bytes, blobs } = self.into_value();
            MessageParts {
                len,
                first: Some(first.into()),
                value: Some(bytes),
                blobs: blobs.into_iter(),
            }
        }
    }

    /// The parts, if the value is at offset `value` in the buffer, with room for `head` bytes
    /// before it.
    fn with_head_before(
        mut self,
        value: usize,
        head: usize,
        len: u64,
        write: impl FnOnce(&mut &mut [u8]),
    ) -> MessageParts {
        let mut buf = std::mem::take(&mut self.buf);
        let start = value - head;
        let value_len = buf.len() - value;
        self.write_heads(&mut buf[start..value], value_len, write);
        let mut first = Bytes::from(buf);
        first.advance(start);
        MessageParts { len, first: Some(first), value: None, blobs: self.blobs.into_iter() }
    }

    /// Fills `room` with the header and the body's header.
    fn write_heads(&self, mut room: &mut [u8], value: usize, write: impl FnOnce(&mut &mut [u8])) {
        write(&mut room);
        // `BodyWriter::finish` has checked both.
        room.put_u32_le(u32::try_from(value).unwrap_or(u32::MAX));
        room.put_u16_le(u16::try_from(self.blobs.len()).unwrap_or(u16::MAX));
        self.blobs.iter().for_each(|blob| room.put_u64_le(blob.len() as u64));
        debug_assert!(room.is_empty(), "the header has the announced length");
    }

    fn value(&self) -> &[u8] {
        self.buf.get(HEADROOM..).unwrap_or_default()
    }

    fn head_len(&self) -> usize {
        HEAD + 8 * self.blobs.len()
    }
}

/// The parts of a message, in the order in which they are sent. A small message is a single part.
///
/// No part is a copy of a blob.
#[derive(Clone, Debug)]
pub struct MessageParts {
    len: u64,
    first: Option<Bytes>,
    value: Option<Bytes>,
    blobs: std::vec::IntoIter<Bytes>,
}

impl MessageParts {
    /// The length of the whole message in bytes, including parts that were taken.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.len
    }
}

impl Iterator for MessageParts {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.first.take().or_else(|| self.value.take()).or_else(|| self.blobs.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let heads = usize::from(self.first.is_some()) + usize::from(self.value.is_some());
        let len = heads + self.blobs.len();
        (len, Some(len))
    }
}

impl ExactSizeIterator for MessageParts {}

impl From<MessageParts> for Payload {
    fn from(mut parts: MessageParts) -> Self {
        Payload::new(parts.next().unwrap_or_default(), parts)
    }
}

/// A value that has arrived. The bytes are slices of its message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// MessagePack.
    pub bytes: Bytes,
    /// The blobs, in the order in which the value refers to them.
    pub blobs: Vec<Bytes>,
}

impl Value {
    /// Decodes the body that fills `bytes`, without copying.
    ///
    /// # Errors
    /// [`DecodeError`] if the lengths in the header do not match the bytes.
    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let too_short = DecodeError::TooShort { what: "body" };
        if bytes.len() < HEAD {
            return Err(too_short);
        }
        let value_len = u64::from(bytes.get_u32_le());
        let count = usize::from(bytes.get_u16_le());
        if bytes.len() / 8 < count {
            return Err(too_short);
        }
        let mut lens = bytes.split_to(8 * count);
        let mut take = |len: u64| match usize::try_from(len) {
            Ok(len) if len <= bytes.len() => Ok(bytes.split_to(len)),
            _ => Err(DecodeError::TooShort { what: "body" }),
        };
        let value = take(value_len)?;
        let blobs = (0..count).map(|_| take(lens.get_u64_le())).collect::<Result<_, _>>()?;
        if !bytes.is_empty() {
            return Err(DecodeError::Trailing { what: "body" });
        }
        Ok(Value { bytes: value, blobs })
    }
}

#[cfg(test)]
pub(crate) mod tests;
