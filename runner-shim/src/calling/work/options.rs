//! The options of a work, for the pool that runs it.

use std::time::Duration;

use flame_wire::trace::TraceContext;

/// The options of one call. They apply when the work is given to a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// The time limit for the whole call.
    pub timeout: Timeout,
    /// Whether the call continues when its caller goes away. Default: no.
    pub detached: bool,
    /// The caller's place in a trace, sent unchanged. Default: inside a call, a new span in that
    /// call's trace; otherwise a new trace.
    pub trace: Option<TraceContext>,
}

/// The time limit of a call: queue, boot, run and reply together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// The pool's default.
    #[default]
    OfPool,
    /// This time.
    After(Duration),
    /// No limit.
    Never,
}

impl Timeout {
    /// The time limit, if the pool's default is `pool`; `None` is no limit.
    #[must_use]
    pub fn or(self, pool: Option<Duration>) -> Option<Duration> {
        match self {
            Self::OfPool => pool,
            Self::After(timeout) => Some(timeout),
            Self::Never => None,
        }
    }
}
