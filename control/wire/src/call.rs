//! The header of a CALL message: the function, the time that it may take, and its options.
//!
//! ```text
//! call  := function u64, flags u8, depth u8, fields, body      integers are little-endian
//!
//! fields, each present where its flag is set:
//!   BUDGET    1    budget u64, in microseconds
//!   TRACE     2    trace id [16], span id [8], trace flags u8
//!   CHANNELS  4    count u16, stream u64 ...
//! flags without a field:
//!   DETACHED  8    the call goes on when its caller is gone
//!   ACK      16    the caller waits for ACCEPTED
//! ```
//!
//! The [body](crate::body) holds the arguments. The deadline is sent as the time that remains,
//! never as a point in time, because two machines do not share a clock.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};

use crate::body::{Body, MessageParts};
use crate::error::{DecodeError, EncodeError};
use crate::frame::MAX_SIBLINGS;
use crate::ids::FunctionId;
use crate::time::MAX_MS;
pub use crate::trace::TraceContext;

/// How many channels one call may have: one frame opens the streams of all of them.
pub const MAX_CHANNELS: usize = MAX_SIBLINGS;
/// The longest budget, about ten years. A longer one is sent as this.
pub const MAX_BUDGET: Duration = Duration::from_millis(MAX_MS);

const BUDGET: u8 = 1;
const TRACE: u8 = 2;
const CHANNELS: u8 = 4;
const DETACHED: u8 = 8;
const ACK: u8 = 16;

/// Whether a call of this depth is nested deeper than `limit`. The depth is counted up to 255, and
/// a call of depth 255 is always too deep: otherwise the highest limit would not stop a recursion.
#[must_use]
pub fn is_too_deep(depth: u8, limit: u8) -> bool {
    depth > limit || depth == u8::MAX
}

/// Everything that the runner must know about a call besides the arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallHeader {
    /// The function to run.
    pub function: FunctionId,
    /// The time that remains until the call's deadline, rounded down to microseconds. `None`: no
    /// deadline.
    pub budget: Option<Duration>,
    /// How many calls this one is nested in: 0 if the outermost parent made it.
    pub depth: u8,
    /// The call goes on when its caller is gone.
    pub detached: bool,
    /// The caller waits for an ACCEPTED message.
    pub ack: bool,
    /// The caller's position in a trace. It is not sent if one of its ids is all zeros.
    pub trace: Option<TraceContext>,
    /// The streams of the channels among the arguments, in their order, at most [`MAX_CHANNELS`].
    pub channels: Vec<u64>,
}

impl CallHeader {
    /// A header without deadline, options, trace and channels, at depth 0.
    #[must_use]
    pub const fn new(function: FunctionId) -> Self {
        CallHeader {
            function,
            budget: None,
            depth: 0,
            detached: false,
            ack: false,
            trace: None,
            channels: Vec::new(),
        }
    }

    /// Encodes the whole CALL message. With a small body it is one part, and needs no allocation.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above [`MAX_CHANNELS`].
    pub fn encode(&self, body: Body) -> Result<MessageParts, EncodeError> {
        let (what, len, max) = ("list of channels", self.channels.len(), MAX_CHANNELS);
        if len > max {
            return Err(EncodeError::TooLong { what, len, max });
        }
        Ok(body.into_parts_behind(self.encoded_len(), |out| self.write(out)))
    }

    /// Takes the header off `message`. The rest is the body, which
    /// [`Value::decode`](crate::body::Value::decode) decodes.
    ///
    /// # Errors
    /// [`DecodeError`]. The rest of `message` is then meaningless.
    pub fn decode(message: &mut Bytes) -> Result<Self, DecodeError> {
        need(message, 10)?;
        let function = FunctionId(message.get_u64_le());
        let (flags, depth) = (message.get_u8(), message.get_u8());
        if flags & !(BUDGET | TRACE | CHANNELS | DETACHED | ACK) != 0 {
            return Err(DecodeError::UnknownKind { what: "call flag", kind: flags });
        }
        let present = |flag| flags & flag != 0;
        Ok(CallHeader {
            function,
            depth,
            detached: present(DETACHED),
            ack: present(ACK),
            budget: present(BUDGET).then(|| budget(message)).transpose()?,
            trace: present(TRACE).then(|| trace(message)).transpose()?,
            channels: if present(CHANNELS) { channels(message)? } else { Vec::new() },
        })
    }

    fn encoded_len(&self) -> usize {
        let channels = self.channels.len();
        10 + self.budget.map_or(0, |_| 8)
            + self.valid_trace().map_or(0, |_| 25)
            + if channels == 0 { 0 } else { 2 + 8 * channels }
    }

    /// The trace, unless the receiver would reject it.
    fn valid_trace(&self) -> Option<TraceContext> {
        self.trace.filter(TraceContext::is_valid)
    }

    fn write(&self, out: &mut impl BufMut) {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.put_u64_le(self.function.0);
        out.put_u8(
            flag(self.budget.is_some(), BUDGET)
                | flag(self.valid_trace().is_some(), TRACE)
                | flag(!self.channels.is_empty(), CHANNELS)
                | flag(self.detached, DETACHED)
                | flag(self.ack, ACK),
        );
        out.put_u8(self.depth);
        if let Some(budget) = self.budget {
            let micros = budget.min(MAX_BUDGET).as_micros();
            out.put_u64_le(u64::try_from(micros).unwrap_or(u64::MAX));
        }
        if let Some(trace) = self.valid_trace() {
            out.put_slice(&trace.trace_id);
            out.put_slice(&trace.span_id);
            out.put_u8(trace.flags);
        }
        if !self.channels.is_empty() {
            // `encode` has checked the number.
            out.put_u16_le(u16::try_from(self.channels.len()).unwrap_or(u16::MAX));
            self.channels.iter().for_each(|stream| out.put_u64_le(*stream));
        }
    }
}

fn budget(message: &mut Bytes) -> Result<Duration, DecodeError> {
    need(message, 8)?;
    let budget = Duration::from_micros(message.get_u64_le());
    if budget > MAX_BUDGET {
        return Err(DecodeError::bad_value("call", "its budget is longer than ten years"));
    }
    Ok(budget)
}

fn trace(message: &mut Bytes) -> Result<TraceContext, DecodeError> {
    need(message, 25)?;
    let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
    message.copy_to_slice(&mut trace_id);
    message.copy_to_slice(&mut span_id);
    let trace = TraceContext { trace_id, span_id, flags: message.get_u8() };
    if trace.is_valid() {
        Ok(trace)
    } else {
        Err(DecodeError::bad_value("call", "an id of its trace is all zeros"))
    }
}

fn channels(message: &mut Bytes) -> Result<Vec<u64>, DecodeError> {
    need(message, 2)?;
    let count = usize::from(message.get_u16_le());
    let (what, len, max) = ("list of channels", count, MAX_CHANNELS);
    if len > max {
        return Err(DecodeError::TooLong { what, len, max });
    }
    need(message, 8 * count)?;
    Ok((0..count).map(|_| message.get_u64_le()).collect())
}

fn need(message: &Bytes, len: usize) -> Result<(), DecodeError> {
    if message.len() < len { Err(DecodeError::TooShort { what: "call" }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
