//! The WebSocket frames of a client, rewritten for another client. Pure: it is given bytes.
//!
//! ```text
//! runner ── masked frame ──▶ FrameForwarder ── the same frame, unmasked ──▶ parent
//!                                └ ping, pong, close: for the relay
//! ```
//!
//! A frame is forwarded while it arrives, so a message of any length needs no memory. The bytes are
//! rewritten in place: an unmasked frame is shorter than a masked one. At each header, the shorter
//! neighbour moves to close the gap, so a long payload stays where it is.

use std::ops::Range;

/// The longest header of a frame from a client: 2 bytes, 8 bytes of length, 4 bytes of mask.
pub(super) const MAX_HEADER: usize = 14;
/// The longest payload of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A control frame that a client has sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Control {
    /// To be answered by a pong with the same payload.
    Ping(Vec<u8>),
    /// The client is alive.
    Pong,
    /// The client closes, with this payload. It sends nothing more.
    Close(Vec<u8>),
}

/// The client does not follow RFC 6455, or sends text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the client sent a frame without a mask")]
    Unmasked,
    #[error("the client sent a frame with reserved bits, a reserved opcode or an invalid length")]
    Reserved,
    #[error("the client sent a control frame that is fragmented or too long")]
    Control,
    #[error("the client sent fragments of messages in an invalid order")]
    Fragments,
    #[error("the client sent a text message, but only binary messages are forwarded")]
    Text,
}

/// One direction of a pair: the relay's position in the client's stream of frames.
#[derive(Debug, Default)]
pub(super) struct FrameForwarder {
    /// The first bytes of a header that has not arrived completely.
    partial: [u8; MAX_HEADER],
    partial_len: usize,
    payload: Payload,
    /// Whether a message has begun whose last fragment has not.
    in_message: bool,
    closed: bool,
}

/// The rest of the frame whose header has arrived.
#[derive(Debug, Default)]
enum Payload {
    /// The next byte begins a frame.
    #[default]
    None,
    Data {
        mask: [u8; 4],
        left: u64,
    },
    Control {
        opcode: u8,
        mask: [u8; 4],
        left: usize,
        payload: Vec<u8>,
    },
}

/// The result of rewriting a client's bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// Where the bytes are in the buffer that are to be sent to the other client.
    pub(super) range: Range<usize>,
    /// How many of them are payload.
    pub(super) payload: usize,
    /// The control frames, in order.
    pub(super) control: Vec<Control>,
}

impl FrameForwarder {
    /// Whether all bytes that were forwarded so far form whole frames, so that the relay may send a
    /// frame of its own.
    pub(super) fn is_between_frames(&self) -> bool {
        !matches!(self.payload, Payload::Data { .. })
    }

    /// Writes the bytes that precede the next ones to the front of `buffer`, and returns how many
    /// they are: at most [`MAX_HEADER`].
    pub(super) fn restore(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.partial_len].copy_from_slice(&self.partial[..self.partial_len]);
        self.partial_len
    }

    /// Rewrites the bytes of [`restore`](Self::restore) and those that the client has sent since.
    ///
    /// # Errors
    /// [`FrameError`]. The bytes before the error are lost.
    pub(super) fn forward(&mut self, buffer: &mut [u8]) -> Result<Forwarded, FrameError> {
        let mut done = Forwarded::default();
        self.partial_len = 0;
        let mut at = 0;
        while at < buffer.len() && !self.closed {
            match &mut self.payload {
                Payload::None => match Header::parse(&buffer[at..])? {
                    Some(header) => {
                        at += header.len;
                        self.begin(&header, at, buffer, &mut done)?;
                        self.end_of_control(&mut done);
                    }
                    None => {
                        let rest = &buffer[at..];
                        self.partial[..rest.len()].copy_from_slice(rest);
                        self.partial_len = rest.len();
                        break;
                    }
                },
                Payload::Data { mask, left } => {
                    let available = buffer.len() - at;
                    let n = usize::try_from(*left).map_or(available, |left| left.min(available));
                    unmask(&mut buffer[at..at + n], mask);
                    let to = done.range.end;
                    if at != to {
                        buffer.copy_within(at..at + n, to);
                    }
                    at += n;
                    done.range.end += n;
                    done.payload += n;
                    *left -= n as u64;
                    if *left == 0 {
                        self.payload = Payload::None;
                    }
                }
                Payload::Control { mask, left, payload, .. } => {
                    let n = (*left).min(buffer.len() - at);
                    unmask(&mut buffer[at..at + n], mask);
                    payload.extend_from_slice(&buffer[at..at + n]);
                    at += n;
                    *left -= n;
                    self.end_of_control(&mut done);
                }
            }
        }
        Ok(done)
    }

    fn begin(
        &mut self,
        header: &Header,
        at: usize,
        buffer: &mut [u8],
        done: &mut Forwarded,
    ) -> Result<(), FrameError> {
        let &Header { first, payload_len, mask, .. } = header;
        let (is_last, opcode) = (first & FIN != 0, first & 0xf);
        match opcode {
            TEXT => return Err(FrameError::Text),
            CONTINUATION | BINARY => {
                if (opcode == CONTINUATION) != self.in_message {
                    return Err(FrameError::Fragments);
                }
                self.in_message = !is_last;
                let arrived = usize::try_from(payload_len).unwrap_or(usize::MAX);
                let arrived = arrived.min(buffer.len() - at);
                let header_at = at - header.unmasked_len();
                if done.range.len() <= arrived {
                    done.move_to_end_at(header_at, buffer);
                }
                let Range { end, .. } = &mut done.range;
                header.write_unmasked(&mut buffer[*end..]);
                *end += header.unmasked_len();
                if payload_len > 0 {
                    self.payload = Payload::Data { mask, left: payload_len };
                }
            }
            CLOSE | PING | PONG => {
                let left = usize::try_from(payload_len).unwrap_or(usize::MAX);
                if !is_last || left > MAX_CONTROL {
                    return Err(FrameError::Control);
                }
                let payload = Vec::with_capacity(left);
                self.payload = Payload::Control { opcode, mask, left, payload };
            }
            _ => return Err(FrameError::Reserved),
        }
        Ok(())
    }

    fn end_of_control(&mut self, done: &mut Forwarded) {
        if let Payload::Control { opcode, left: 0, payload, .. } = &mut self.payload {
            let payload = std::mem::take(payload);
            done.control.push(match *opcode {
                PING => Control::Ping(payload),
                PONG => Control::Pong,
                _ => {
                    self.closed = true;
                    Control::Close(payload)
                }
            });
            self.payload = Payload::None;
        }
    }
}

impl Forwarded {
    /// Moves the bytes towards the end of the buffer.
    fn move_to_end_at(&mut self, end: usize, buffer: &mut [u8]) {
        let start = end - self.range.len();
        buffer.copy_within(self.range.clone(), start);
        self.range = start..end;
    }
}

/// The header of a frame from a client.
struct Header {
    first: u8,
    /// The 7 bits of length, and the longer length that may follow them, as the client wrote them.
    length: [u8; 9],
    payload_len: u64,
    mask: [u8; 4],
    /// The length of the header itself.
    len: usize,
}

impl Header {
    /// The header at the front of `bytes`; `None` if it has not arrived completely.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(FrameError::Reserved);
        }
        if second & MASKED == 0 {
            return Err(FrameError::Unmasked);
        }
        let short = second & !MASKED;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if rest.len() < extended + 4 {
            return Ok(None);
        }
        let mut length = [0; 9];
        length[0] = short;
        length[1..=extended].copy_from_slice(&rest[..extended]);
        let payload_len = match extended {
            0 => u64::from(short),
            _ => rest[..extended].iter().fold(0, |len, &byte| len << 8 | u64::from(byte)),
        };
        if payload_len > i64::MAX as u64 {
            return Err(FrameError::Reserved);
        }
        let mut mask = [0; 4];
        mask.copy_from_slice(&rest[extended..extended + 4]);
        Ok(Some(Self { first, length, payload_len, mask, len: 2 + extended + 4 }))
    }

    /// The length of the header without its mask.
    fn unmasked_len(&self) -> usize {
        self.len - 4
    }

    /// Writes the header without its mask.
    fn write_unmasked(&self, to: &mut [u8]) {
        let len = self.unmasked_len();
        to[0] = self.first;
        to[1..len].copy_from_slice(&self.length[..len - 1]);
    }
}

/// Applies the mask, and turns it so that it continues with the byte that follows.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    // The mask twice: eight bytes at a time.
    let [a, b, c, d] = *mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(rest.len() % 4);
}

/// Appends a pong with this payload, of at most 125 bytes.
pub(super) fn write_pong(payload: &[u8], to: &mut Vec<u8>) {
    write_control(PONG, payload, to);
}

/// Appends a ping.
pub(super) fn write_ping(to: &mut Vec<u8>) {
    write_control(PING, &[], to);
}

/// Appends a close frame with this payload, of at most 125 bytes.
pub(super) fn write_close(payload: &[u8], to: &mut Vec<u8>) {
    write_control(CLOSE, payload, to);
}

/// The payload of a close frame.
pub(super) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

fn write_control(opcode: u8, payload: &[u8], to: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    to.push(FIN | opcode);
    // At most 125.
    to.push(u8::try_from(payload.len()).unwrap_or(0));
    to.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
