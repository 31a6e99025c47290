//! Frames: what the [mux](crate::mux) puts on the link, at most 32 KiB each.
//!
//! ```text
//! frame := kind u8, flags u8, stream u64, fields, payload      integers are little-endian
//!
//! DATA   START?  tag u8, total u64          a message of `total` bytes begins here
//!        OPENS?  count u16, stream u64 ...  opens this stream and these siblings
//!        END?                               this message is the last one in its direction
//!        payload                            the rest of the packet
//! CREDIT bytes u32, messages u32            the receiver has read this much, so more may be sent
//! RESET                                     the sender has given the stream up
//! ```
//!
//! A frame has no length field: a [packet](crate::packet) carries exactly one frame.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::DecodeError;

/// The longest frame, header and payload together, in bytes.
pub const MAX_FRAME: usize = 32 * 1024;
/// How many siblings one frame may open beside its own stream.
pub const MAX_SIBLINGS: usize = 256;

const DATA: u8 = 1;
const CREDIT: u8 = 2;
const RESET: u8 = 3;

const START: u8 = 1;
const OPENS: u8 = 2;
const END: u8 = 4;

/// One two-way stream of messages on a link: a call, a channel, or the control stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u64);

impl StreamId {
    /// The stream that is open for as long as the link is.
    pub const CONTROL: StreamId = StreamId(0);
}

/// The beginning of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageStart {
    /// The kind of message: see [`Tag`](crate::message::Tag).
    pub tag: u8,
    /// The length of the whole message, in bytes.
    pub total: u64,
}

/// A part of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataFrame {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Present on the first frame of a message.
    pub start: Option<MessageStart>,
    /// Present on the first frame of a stream: the siblings that it opens.
    pub opens: Option<Vec<StreamId>>,
    /// This message is the last one in its direction.
    pub end: bool,
    /// At most [`MAX_FRAME`] minus the header.
    pub payload: Bytes,
}

/// The unit of the mux.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A part of a message.
    Data(DataFrame),
    /// The receiver of a stream has read some of it.
    Credit {
        /// The stream.
        stream: StreamId,
        /// How many more bytes may be sent.
        bytes: u32,
        /// How many messages were read since the last credit.
        messages: u32,
    },
    /// The sender of this frame neither sends nor receives anything more on the stream.
    Reset {
        /// The stream.
        stream: StreamId,
    },
}

impl Frame {
    /// The encoded length, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        10 + match self {
            Frame::Data(data) => data.header_len() + data.payload.len(),
            Frame::Credit { .. } => 8,
            Frame::Reset { .. } => 0,
        }
    }

    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut head = |kind, flags, stream: StreamId| {
            out.put_u8(kind);
            out.put_u8(flags);
            out.put_u64_le(stream.0);
        };
        match self {
            Frame::Data(data) => {
                head(DATA, data.flags(), data.stream);
                if let Some(start) = data.start {
                    out.put_u8(start.tag);
                    out.put_u64_le(start.total);
                }
                if let Some(opens) = &data.opens {
                    debug_assert!(opens.len() <= MAX_SIBLINGS, "the mux limits the siblings");
                    out.put_u16_le(u16::try_from(opens.len()).unwrap_or(u16::MAX));
                    opens.iter().for_each(|stream| out.put_u64_le(stream.0));
                }
                out.extend_from_slice(&data.payload);
            }
            Frame::Credit { stream, bytes, messages } => {
                head(CREDIT, 0, *stream);
                out.put_u32_le(*bytes);
                out.put_u32_le(*messages);
            }
            Frame::Reset { stream } => head(RESET, 0, *stream),
        }
    }

    /// Decodes the frame that fills `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are too short, too long, or of an unknown kind.
    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_FRAME {
            return Err(DecodeError::TooLong { what: "frame", len: bytes.len(), max: MAX_FRAME });
        }
        need(&bytes, 10)?;
        let (kind, flags, stream) = (bytes.get_u8(), bytes.get_u8(), StreamId(bytes.get_u64_le()));
        match kind {
            DATA => DataFrame::decode(stream, flags, bytes).map(Frame::Data),
            CREDIT => {
                need(&bytes, 8)?;
                let (credit, messages) = (bytes.get_u32_le(), bytes.get_u32_le());
                finished(&bytes)?;
                Ok(Frame::Credit { stream, bytes: credit, messages })
            }
            RESET => finished(&bytes).map(|()| Frame::Reset { stream }),
            kind => Err(DecodeError::UnknownKind { what: "frame", kind }),
        }
    }
}

impl DataFrame {
    /// The length of the header without the ten bytes that every frame has.
    fn header_len(&self) -> usize {
        self.start.map_or(0, |_| 9) + self.opens.as_ref().map_or(0, |opens| 2 + 8 * opens.len())
    }

    fn flags(&self) -> u8 {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        flag(self.start.is_some(), START) | flag(self.opens.is_some(), OPENS) | flag(self.end, END)
    }

    fn decode(stream: StreamId, flags: u8, mut bytes: Bytes) -> Result<Self, DecodeError> {
        if flags & !(START | OPENS | END) != 0 {
            return Err(DecodeError::UnknownKind { what: "frame flag", kind: flags });
        }
        let start = if flags & START != 0 {
            need(&bytes, 9)?;
            Some(MessageStart { tag: bytes.get_u8(), total: bytes.get_u64_le() })
        } else {
            None
        };
        let opens = if flags & OPENS != 0 {
            need(&bytes, 2)?;
            let count = usize::from(bytes.get_u16_le());
            if count > MAX_SIBLINGS {
                return Err(DecodeError::TooLong {
                    what: "list of siblings",
                    len: count,
                    max: MAX_SIBLINGS,
                });
            }
            need(&bytes, 8 * count)?;
            Some((0..count).map(|_| StreamId(bytes.get_u64_le())).collect())
        } else {
            None
        };
        Ok(DataFrame { stream, start, opens, end: flags & END != 0, payload: bytes })
    }
}

fn need(bytes: &Bytes, len: usize) -> Result<(), DecodeError> {
    if bytes.len() < len { Err(DecodeError::TooShort { what: "frame" }) } else { Ok(()) }
}

fn finished(bytes: &Bytes) -> Result<(), DecodeError> {
    if bytes.is_empty() { Ok(()) } else { Err(DecodeError::Trailing { what: "frame" }) }
}

#[cfg(test)]
pub(crate) mod tests;
