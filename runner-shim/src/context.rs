//! The information that a function can get about the call that it serves.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::trace::TraceContext;

use crate::boot_variables::boot_variables;

tokio::task_local! {
    static CALL: CallContext;
}

/// The depth of the runner in this process; 0 until there is one.
static DEPTH: AtomicU8 = AtomicU8::new(0);

/// The number of parents above this process; 0 in a process that is not a runner. A runner knows
/// its depth from its very start, before it serves.
#[must_use]
pub fn process_depth() -> u8 {
    match DEPTH.load(Ordering::Relaxed) {
        0 => boot_variables().depth(),
        depth => depth,
    }
}

/// Declares this process a runner at this depth. A process that is several runners in turn may have
/// a different depth each time.
pub fn set_process_depth(depth: u8) {
    DEPTH.store(depth, Ordering::Relaxed);
}

/// The call that the current task or blocking thread serves.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CallContext {
    /// The call's id, unique on its runner.
    pub call: CallId,
    /// The runner.
    pub runner: RunnerRef,
    /// The number of calls that this call is nested in.
    pub depth: u8,
    /// How deeply calls may nest.
    pub max_depth: u8,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The trace, and this call's span in it; calls made from here belong under that span.
    pub trace: Option<TraceContext>,
}

impl CallContext {
    /// The call being served here; `None` outside of a call, and in tasks that a function spawned.
    #[must_use]
    pub fn current() -> Option<CallContext> {
        CALL.try_with(|context| *context).ok()
    }

    pub(crate) async fn scope<F: Future>(self, function: F) -> F::Output {
        CALL.scope(self, function).await
    }

    pub(crate) fn sync_scope<T>(self, function: impl FnOnce() -> T) -> T {
        CALL.sync_scope(self, function)
    }
}
