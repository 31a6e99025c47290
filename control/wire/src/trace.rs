//! W3C trace context: which trace a call belongs to, on both sides of the link.

use std::fmt;
use std::str::FromStr;

use crate::hex::{self, Hex};

/// The caller's place in a trace, as the header `traceparent` has it.
///
/// Neither id is ever all zeros: whoever makes one by hand sees to it, parsing refuses it.
///
/// ```
/// use flame_wire::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context: TraceContext = header.parse()?;
/// assert!(context.is_sampled());
/// assert_eq!(context.to_string(), header);
/// # Ok::<(), flame_wire::trace::NotATraceParent>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TraceContext {
    /// The whole trace.
    pub trace_id: [u8; 16],
    /// The caller's span in it.
    pub span_id: [u8; 8],
    /// Bit 0 says that the trace is sampled.
    pub flags: u8,
}

impl TraceContext {
    /// Whether the caller records the trace.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Whether both ids are other than all zeros, as the standard asks.
    pub(crate) fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }
}

/// Writes version 00 of `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", Hex(&self.trace_id), Hex(&self.span_id), self.flags)
    }
}

/// Text that is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a traceparent is `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`, ids not all zeros")]
pub struct NotATraceParent;

/// Reads `traceparent` of version 00, and of later versions the part that all versions share.
impl FromStr for TraceContext {
    type Err = NotATraceParent;

    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let mut fields = text.splitn(5, '-');
        let mut field = || fields.next().ok_or(NotATraceParent);
        let [version] = hex::decode(field()?).ok_or(NotATraceParent)?;
        let trace_id = hex::decode(field()?).ok_or(NotATraceParent)?;
        let span_id = hex::decode(field()?).ok_or(NotATraceParent)?;
        let [flags] = hex::decode(field()?).ok_or(NotATraceParent)?;
        let context = TraceContext { trace_id, span_id, flags };
        let has_more = fields.next().is_some();
        if version == 0xff || (version == 0 && has_more) || !context.is_valid() {
            return Err(NotATraceParent);
        }
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_comes_back_as_it_was() {
        let context: TraceContext = HEADER.parse().unwrap();
        assert_eq!(context.trace_id[..3], [0x4b, 0xf9, 0x2f]);
        assert_eq!(context.span_id[..3], [0x00, 0xf0, 0x67]);
        assert!(context.is_sampled());
        assert_eq!(context.to_string(), HEADER);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("01{}-what-comes-next", &HEADER[2..]);
        assert_eq!(later.parse::<TraceContext>(), HEADER.parse());
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
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
            assert_eq!(bad.parse::<TraceContext>(), Err(NotATraceParent), "{bad}");
        }
    }
}
