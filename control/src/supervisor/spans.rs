//! The spans of a boot: `flame.boot`, the request to the backend, and `flame.connect`, the wait for
//! the runner. A platform may say later which parts this wait had. Then each part is a span in
//! `flame.connect`.
//!
//! A boot serves whichever calls wait when it ends, and a span has one parent. So both spans are in
//! the trace of the call because of which the pool grew, and the `flame.queue` spans of all calls
//! that waited for the boot link to `flame.boot`. A boot for which no call waits has a trace of its
//! own.

use std::ops::Range;
use std::time::SystemTime;

use flame_runner_shim::otel;
use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;
use tracing::Span;

use crate::backend::BootTimes;

pub(super) struct BootSpans {
    runner: RunnerRef,
    waiting_call: Option<TraceContext>,
    /// From the request to the backend until its answer.
    pub(super) boot: Span,
}

impl BootSpans {
    pub(super) fn begin(runner: RunnerRef, pool: &str, waiting_call: Option<TraceContext>) -> Self {
        let boot = tracing::debug_span!(parent: None, "flame.boot", %runner, pool);
        if let Some(call) = waiting_call {
            otel::set_parent(&boot, call);
        }
        Self { runner, waiting_call, boot }
    }

    /// The backend has answered.
    pub(super) fn connect(self) -> ConnectSpan {
        let Self { runner, waiting_call, boot } = self;
        let boot = otel::context_of(&boot);
        let span = tracing::debug_span!(parent: None, "flame.connect", %runner);
        if let Some(parent) = waiting_call.or(boot) {
            otel::set_parent(&span, parent);
        }
        ConnectSpan { boot, trace: otel::context_of(&span), span }
    }
}

/// The span of the wait for the runner.
pub(super) struct ConnectSpan {
    pub(super) span: Span,
    /// Its context, if OpenTelemetry knows it.
    pub(super) trace: Option<TraceContext>,
    /// The context of `flame.boot`, if OpenTelemetry knows it.
    pub(super) boot: Option<TraceContext>,
}

/// Adds the parts of a boot to `flame.connect`, which has ended. The platform accepted the boot's
/// request at `accepted`.
pub(super) fn add_parts(connect: TraceContext, accepted: SystemTime, times: &BootTimes) {
    for (name, part) in parts(accepted, times) {
        otel::add_past_span(name, connect, part);
    }
}

/// The parts of a boot that can be placed in time. Where a part begins is known only if all parts
/// before it are known.
fn parts(
    accepted: SystemTime,
    times: &BootTimes,
) -> impl Iterator<Item = (&'static str, Range<SystemTime>)> {
    let parts = [
        ("flame.boot.provision", times.provision),
        ("flame.boot.pull", times.pull),
        ("flame.boot.start", times.start),
    ];
    let mut end = accepted;
    parts.into_iter().map_while(move |(name, part)| {
        let begin = end;
        end = begin.checked_add(part?)?;
        Some((name, begin..end))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The parts with their seconds since the request was accepted.
    fn seconds(times: BootTimes) -> Vec<(&'static str, u64, u64)> {
        let accepted = SystemTime::UNIX_EPOCH;
        let since = |time: SystemTime| time.duration_since(accepted).unwrap().as_secs();
        let parts = parts(accepted, &times);
        parts.map(|(name, part)| (name, since(part.start), since(part.end))).collect()
    }

    fn times(parts: [Option<u64>; 3]) -> BootTimes {
        let [provision, pull, start] = parts.map(|part| part.map(Duration::from_secs));
        BootTimes { provision, pull, start }
    }

    #[test]
    fn each_part_begins_where_the_one_before_it_ends() {
        let expected =
            [("flame.boot.provision", 0, 3), ("flame.boot.pull", 3, 7), ("flame.boot.start", 7, 9)];
        assert_eq!(seconds(times([Some(3), Some(4), Some(2)])), expected);
    }

    #[test]
    fn a_part_after_an_unknown_one_has_no_known_place() {
        let expected = [("flame.boot.provision", 0, 3)];
        assert_eq!(seconds(times([Some(3), None, Some(2)])), expected);
        assert!(seconds(times([None, Some(4), Some(2)])).is_empty());
    }

    #[test]
    fn a_part_that_no_clock_can_represent_is_left_out() {
        assert!(seconds(times([Some(u64::MAX), Some(4), Some(2)])).is_empty());
    }
}
