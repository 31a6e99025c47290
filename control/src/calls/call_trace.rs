//! The place of a call in its trace.
//!
//! With OpenTelemetry, the trace is that of the call's spans, and the runner hangs its own spans
//! under `flame.run`. Without it, the call has ids that its spans and events show, and that the
//! runner shows too.

use flame_runner_shim::context::CallContext;
use flame_runner_shim::otel;
use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;
use tracing::Span;

use crate::error::CallError;

/// Opens the span of a call, in the trace of its caller.
///
/// `place` is the call in its trace, as events show it, and is unique; returned is the place with
/// OpenTelemetry. `sent` is the context that the work has set. It becomes the context for the
/// runner if `flame.run` has none.
pub(super) fn begin_call(
    function: &'static str,
    pool: &str,
    mut place: TraceContext,
    sent: &mut Option<TraceContext>,
) -> (Span, TraceContext) {
    let traceparent = tracing::field::Empty;
    let span = tracing::debug_span!("flame.call", function, pool, traceparent);
    if let Some(given) = *sent {
        otel::set_parent(&span, given);
    }
    if let Some(own) = otel::context_of(&span) {
        (place, *sent) = (own, Some(own));
    } else {
        // A filter may have removed this span and not the app's own.
        *sent = sent.or_else(otel::current);
        if let Some(outer) = *sent {
            place = TraceContext { span_id: place.span_id, ..outer };
        }
        sent.get_or_insert(place);
    }
    span.record("traceparent", tracing::field::display(place));
    (span, place)
}

/// Opens the span of a call's time on its runner. Returns it with the context for the runner.
pub(super) fn begin_run(
    call: &Span,
    runner: RunnerRef,
    sent: Option<TraceContext>,
) -> (Span, Option<TraceContext>) {
    let span = tracing::debug_span!(parent: call, "flame.run", otel.kind = "client", %runner);
    let sent = otel::context_of(&span).or(sent);
    (span, sent)
}

/// Notes in the call's span that the call has failed.
pub(super) fn failed(call: &Span, error: CallError) -> CallError {
    otel::set_failed(call, &error);
    error
}

/// A new place in the trace of the call that is served here, or in a trace of its own.
pub(super) fn next_place() -> TraceContext {
    let span_id = rand::random();
    match CallContext::current().and_then(|caller| caller.trace) {
        Some(caller) => TraceContext { span_id, ..caller },
        None => TraceContext { trace_id: rand::random(), span_id, flags: 0 },
    }
}
