//! Packets: the units that the [session](crate::session) sends on one socket.
//!
//! ```text
//! packet := kind u8, len u24, len bytes                        integers are little-endian
//!
//! RESUME next u64            first on each socket: the number that this side expects next
//! DATA   seq u64, ack u64, frame
//! ACK    next u64            all frames below this number have arrived
//! PING   nonce u64           PONG nonce u64
//! CLOSE                      the link has ended, and will not be resumed
//! ```

use bytes::{Buf, BufMut, BytesMut};

use crate::error::DecodeError;
use crate::frame::{Frame, MAX_FRAME};

/// The longest packet including its four-byte head.
pub const MAX_PACKET: usize = HEAD + 16 + MAX_FRAME;

const HEAD: usize = 4;
const RESUME: u8 = 1;
const DATA: u8 = 2;
const ACK: u8 = 3;
const PING: u8 = 4;
const PONG: u8 = 5;
const CLOSE: u8 = 6;

/// The unit of the session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet<F = Frame> {
    /// The first packet on each socket.
    Resume {
        /// The next sequence number that the sender of this packet expects.
        next: u64,
    },
    /// A frame, and an acknowledgement.
    Data {
        /// The frame's number, from 0.
        seq: u64,
        /// All frames below this number have arrived.
        ack: u64,
        /// The frame.
        frame: F,
    },
    /// An acknowledgement without a frame.
    Ack {
        /// All frames below this number have arrived.
        next: u64,
    },
    /// Asks whether the peer is alive.
    Ping {
        /// The pong carries the same number.
        nonce: u64,
    },
    /// The answer to a ping.
    Pong {
        /// The number in the ping.
        nonce: u64,
    },
    /// The link has ended.
    Close,
}

impl Packet {
    /// Appends the packet to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let numbers = |out: &mut BytesMut, kind, values: &[u64]| {
            head(out, kind, 8 * values.len());
            values.iter().for_each(|value| out.put_u64_le(*value));
        };
        match self {
            Packet::Resume { next } => numbers(out, RESUME, &[*next]),
            Packet::Data { seq, ack, frame } => {
                head(out, DATA, 16 + frame.encoded_len());
                out.put_u64_le(*seq);
                out.put_u64_le(*ack);
                frame.encode(out);
            }
            Packet::Ack { next } => numbers(out, ACK, &[*next]),
            Packet::Ping { nonce } => numbers(out, PING, &[*nonce]),
            Packet::Pong { nonce } => numbers(out, PONG, &[*nonce]),
            Packet::Close => head(out, CLOSE, 0),
        }
    }

    /// Takes the next packet off `input`, or returns `None` if it is incomplete.
    ///
    /// # Errors
    /// [`DecodeError`]. Close the socket: the boundaries between packets are lost.
    pub fn decode(input: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let Some(&[kind, a, b, c]) = input.first_chunk::<HEAD>() else { return Ok(None) };
        let len = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        if len > MAX_PACKET - HEAD {
            return Err(DecodeError::TooLong { what: "packet", len, max: MAX_PACKET - HEAD });
        }
        let expected = match kind {
            RESUME | ACK | PING | PONG => len == 8,
            DATA => len >= 16,
            CLOSE => len == 0,
            kind => return Err(DecodeError::UnknownKind { what: "packet", kind }),
        };
        if !expected {
            return Err(DecodeError::BadLength { what: "packet", len });
        }
        if input.len() < HEAD + len {
            return Ok(None);
        }
        input.advance(HEAD);
        let mut body = input.split_to(len);
        Ok(Some(match kind {
            RESUME => Packet::Resume { next: body.get_u64_le() },
            ACK => Packet::Ack { next: body.get_u64_le() },
            PING => Packet::Ping { nonce: body.get_u64_le() },
            PONG => Packet::Pong { nonce: body.get_u64_le() },
            CLOSE => Packet::Close,
            _ => {
                let (seq, ack) = (body.get_u64_le(), body.get_u64_le());
                Packet::Data { seq, ack, frame: Frame::decode(body.freeze())? }
            }
        }))
    }
}

fn head(out: &mut BytesMut, kind: u8, len: usize) {
    debug_assert!(len <= MAX_PACKET - HEAD, "no frame is longer than MAX_FRAME");
    out.put_u8(kind);
    #[expect(clippy::cast_possible_truncation, reason = "three bytes hold MAX_PACKET")]
    out.put_slice(&[len as u8, (len >> 8) as u8, (len >> 16) as u8]);
}

#[cfg(test)]
mod tests;
