//! Joins `tracing` spans to OpenTelemetry's traces, across processes.
//!
//! ```text
//!   parent                                   runner
//!   flame.call ┬ flame.queue
//!              ├ flame.run ── context_of ──▶ Caller::attach ─ flame.serve ─ the function's spans
//!              └ flame.reply                (in the call's header)
//! ```
//!
//! The parent's sampler has decided when the context leaves it, and the context carries the
//! decision. OpenTelemetry's default sampler on the runner obeys it.
//!
//! Without the feature `opentelemetry`, the functions of this module do nothing (`otel/absent.rs`).
//! Without a layer of `tracing-opentelemetry` in the app's subscriber, no span has a context here.

use std::ops::Range;
use std::time::SystemTime;

use flame_wire::trace::TraceContext;
use opentelemetry::trace::{
    FutureExt, Span as _, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer,
};
use opentelemetry::{Context, global};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The context of a span; `None` if OpenTelemetry does not know it. The span has started then, and
/// gets no other parent.
#[must_use]
pub fn context_of(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let span = context.span();
    span.span_context().is_valid().then(|| from_otel(span.span_context()))
}

/// The context of the current span of this process, even if the app has made it without `tracing`.
#[must_use]
pub fn current() -> Option<TraceContext> {
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        (context.is_valid() && !context.is_remote()).then(|| from_otel(context))
    })
}

/// Makes the span a part of the parent's trace. Only a span that has not started takes a parent.
pub fn set_parent(span: &Span, parent: TraceContext) {
    // It fails if OpenTelemetry does not know the span, and then there is nothing to do.
    let _ = span.set_parent(remote(parent));
}

/// Marks the span as failed, with the first line of the error.
pub fn set_failed(span: &Span, error: &impl std::fmt::Display) {
    if !span.is_disabled() {
        let text = error.to_string();
        span.set_status(Status::error(text.lines().next().unwrap_or_default().to_owned()));
    }
}

/// Links the span to a span of another trace.
pub fn add_link(span: &Span, to: TraceContext) {
    span.add_link(to_otel(to));
}

/// Adds a span that is over already to the parent's trace.
///
/// A `tracing` span begins when it is opened, so this one comes from OpenTelemetry's global tracer
/// provider. If the app has set none, nothing is added.
pub fn add_past_span(name: &'static str, parent: TraceContext, times: Range<SystemTime>) {
    let tracer = global::tracer("flame-aws");
    let span = tracer.span_builder(name).with_start_time(times.start);
    span.start_with_context(&tracer, &remote(parent)).end_with_timestamp(times.end);
}

/// The caller of the function that runs here. Spans that are opened within it belong to its trace.
#[derive(Debug, Clone, Default)]
pub struct Caller(Option<Context>);

impl Caller {
    /// The caller with this context, or no caller.
    #[must_use]
    pub fn new(trace: Option<TraceContext>) -> Self {
        Self(trace.map(remote))
    }

    /// Polls the future within the caller's context.
    pub fn attach<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.with_context(self.0.clone().unwrap_or_else(Context::current))
    }

    /// Runs `work` within the caller's context.
    pub fn attach_sync<T>(&self, work: impl FnOnce() -> T) -> T {
        let _attached = self.0.clone().map(Context::attach);
        work()
    }
}

fn remote(trace: TraceContext) -> Context {
    Context::new().with_remote_span_context(to_otel(trace))
}

fn to_otel(trace: TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(trace.trace_id),
        SpanId::from_bytes(trace.span_id),
        TraceFlags::new(trace.flags),
        true,
        TraceState::default(),
    )
}

fn from_otel(context: &SpanContext) -> TraceContext {
    TraceContext {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
        flags: context.trace_flags().to_u8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> TraceContext {
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()
    }

    #[test]
    fn a_context_survives_the_way_through_opentelemetrys_types() {
        assert_eq!(from_otel(&to_otel(trace())), trace());
    }

    #[test]
    fn a_span_without_a_layer_of_opentelemetry_has_no_context() {
        let span = tracing::info_span!("span");
        set_parent(&span, trace());
        add_link(&span, trace());
        assert_eq!(context_of(&span), None);
    }

    #[test]
    fn a_caller_is_current_only_within_it_and_is_no_span_of_this_process() {
        let seen = || Context::current().span().span_context().clone();
        let caller = Caller::new(Some(trace()));
        let within = caller.attach_sync(|| (seen(), current()));
        assert_eq!((from_otel(&within.0), within.1), (trace(), None));
        assert!(!seen().is_valid());
        assert!(!Caller::default().attach_sync(seen).is_valid());
    }
}
