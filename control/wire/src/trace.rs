//! W3C trace context: the trace that a call belongs to, on both sides of the link.

use std::fmt;
use std::str::FromStr;

use crate::hex::{self, Hex};

/// The caller's position in a trace, as in the `traceparent` header.
///
/// Neither id may be all zeros. Parsing rejects such an id; code that fills in the fields has to
/// check it itself.
///
/// ```
/// use flame_wire::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context: TraceContext = header.parse()?;
/// assert!(context.is_sampled());
/// assert_eq!(context.to_string(), header);
/// # Ok::<(), flame_wire::trace::InvalidTraceParent>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TraceContext {
    /// The id of the whole trace.
    pub trace_id: [u8; 16],
    /// The id of the caller's span.
    pub span_id: [u8; 8],
    /// Bit 0 is set if the trace is sampled.
    pub flags: u8,
}

impl TraceContext {
    /// Whether the caller records the trace.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Whether neither id is all zeros, as the standard requires.
    pub(crate) fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }
}

/// Version 00 of `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", Hex(&self.trace_id), Hex(&self.span_id), self.flags)
    }
}

/// The text is not a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a traceparent is `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`, and no id is all zeros"
)]
pub struct InvalidTraceParent;

/// Parses version 00 of `traceparent`, and of later versions the part that all versions share.
impl FromStr for TraceContext {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut fields = text.splitn(5, '-');
        let mut field = || fields.next().ok_or(InvalidTraceParent);
        let [version] = hex::decode(field()?).ok_or(InvalidTraceParent)?;
        let trace_id = hex::decode(field()?).ok_or(InvalidTraceParent)?;
        let span_id = hex::decode(field()?).ok_or(InvalidTraceParent)?;
        let [flags] = hex::decode(field()?).ok_or(InvalidTraceParent)?;
        let context = TraceContext { trace_id, span_id, flags };
        let has_more = fields.next().is_some();
        if version == 0xff || (version == 0 && has_more) || !context.is_valid() {
            return Err(InvalidTraceParent);
        }
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_survives_a_round_trip() {
        let context: TraceContext = HEADER.parse().unwrap();
        assert_eq!(context.trace_id[..3], [0x4b, 0xf9, 0x2f]);
        assert_eq!(context.span_id[..3], [0x00, 0xf0, 0x67]);
        assert!(context.is_sampled());
        assert_eq!(context.to_string(), HEADER);
    }

    #[test]
    fn of_a_later_version_the_shared_part_is_parsed() {
        let later = format!("01{}-what-comes-next", &HEADER[2..]);
        assert_eq!(later.parse::<TraceContext>(), HEADER.parse());
    }

    #[test]
    fn text_that_the_standard_forbids_is_rejected() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(InvalidTraceParent), "{bad}");
        }
    }
}
