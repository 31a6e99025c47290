//! What a function can know of the call that it serves.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::trace::TraceContext;

use crate::boot_variables::boot_variables;

tokio::task_local! {
    static CALL: CallContext;
}

/// That of the runner that serves here; 0 until one does.
static DEPTH: AtomicU8 = AtomicU8::new(0);

/// How many parents are above this process; 0 in one that is no runner. A runner has its depth from
/// its very start, and not only once it serves.
#[must_use]
pub fn process_depth() -> u8 {
    match DEPTH.load(Ordering::Relaxed) {
        0 => boot_variables().depth(),
        depth => depth,
    }
}

/// This process is a runner, so many parents deep. One that is a runner more than once may be at a
/// different depth each time.
pub fn set_process_depth(depth: u8) {
    DEPTH.store(depth, Ordering::Relaxed);
}

/// The call that the present task, or blocking thread, serves.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CallContext {
    /// The call, unique on its runner.
    pub call: CallId,
    /// The runner.
    pub runner: RunnerRef,
    /// How many calls this one is nested in.
    pub depth: u8,
    /// How deep calls may nest.
    pub max_depth: u8,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The trace, and in it the span of this call; calls made from here are below it.
    pub trace: Option<TraceContext>,
}

impl CallContext {
    /// The call being served here; `None` outside of one, and in tasks that the function spawned.
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
