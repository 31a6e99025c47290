//! What a work asks of the pool it is given to.

use std::time::Duration;

use flame_wire::trace::TraceContext;

/// The options of one call. They ride on the work and bind the pool that runs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// How long the call may take in all.
    pub timeout: Timeout,
    /// Whether it runs on when its caller goes away. Default: no.
    pub detached: bool,
    /// The caller's place in a trace, sent as it is. Default: a span of its own in the trace of
    /// the call that is served where it is made; outside of one, a trace of its own.
    pub trace: Option<TraceContext>,
}

/// How long a call may take: queue, boot, run and reply together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// As long as the pool gives its calls.
    #[default]
    OfPool,
    /// This long.
    After(Duration),
    /// As long as it takes.
    Never,
}

impl Timeout {
    /// The time there is, where the pool gives its calls `pool`; `None` is no limit.
    #[must_use]
    pub fn or(self, pool: Option<Duration>) -> Option<Duration> {
        match self {
            Self::OfPool => pool,
            Self::After(timeout) => Some(timeout),
            Self::Never => None,
        }
    }
}
