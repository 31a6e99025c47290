//! Stands in for `otel.rs` without the feature `opentelemetry`: no span belongs to a trace of
//! OpenTelemetry, so nothing has to be joined.

use std::ops::Range;
use std::time::SystemTime;

use flame_wire::trace::TraceContext;
use tracing::Span;

/// None.
#[must_use]
pub fn context_of(_: &Span) -> Option<TraceContext> {
    None
}

/// None.
#[must_use]
pub fn current() -> Option<TraceContext> {
    None
}

/// Does nothing.
pub fn set_parent(_: &Span, _: TraceContext) {}

/// Does nothing.
pub fn set_failed(_: &Span, _: &impl std::fmt::Display) {}

/// Does nothing.
pub fn add_link(_: &Span, _: TraceContext) {}

/// Does nothing.
pub fn add_past_span(_: &'static str, _: TraceContext, _: Range<SystemTime>) {}

/// A caller without a context.
#[derive(Debug, Clone, Default)]
pub struct Caller;

impl Caller {
    /// A caller without a context.
    #[must_use]
    pub fn new(_: Option<TraceContext>) -> Self {
        Self
    }

    /// The future itself.
    pub fn attach<F: Future>(&self, future: F) -> F {
        future
    }

    /// Runs `work`.
    pub fn attach_sync<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }
}
