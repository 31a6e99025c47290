//! The spans of a boot: `flame.boot`, the request to the backend, and `flame.connect`, the wait for
//! the runner.
//!
//! A boot serves whichever calls wait when it ends, and a span has one parent. So both spans are in
//! the trace of the call because of which the pool grew, and the `flame.queue` spans of all calls
//! that waited for the boot link to `flame.boot`. A boot for which no call waits has a trace of its
//! own.

use flame_runner_shim::otel;
use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;
use tracing::Span;

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

    /// The backend has answered. Returns the span of the wait for the runner, and the context of
    /// `flame.boot` if OpenTelemetry knows it.
    pub(super) fn connect(self) -> (Span, Option<TraceContext>) {
        let Self { runner, waiting_call, boot } = self;
        let trace = otel::context_of(&boot);
        let connect = tracing::debug_span!(parent: None, "flame.connect", %runner);
        if let Some(parent) = waiting_call.or(trace) {
            otel::set_parent(&connect, parent);
        }
        (connect, trace)
    }
}
