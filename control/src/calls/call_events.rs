//! The pool events of one call on a runner: it has started, it has finished.

use std::sync::Arc;
use std::time::Instant;

use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;

use crate::pool::PoolInner;
use crate::pool::events::PoolEvent;
use crate::pool::lane::now;

/// Sends [`PoolEvent::CallStarted`] when it is made and [`PoolEvent::CallFinished`] when it is
/// dropped. Does neither if nobody listened for events when the call started, which keeps calls
/// fast. The default sends nothing.
#[derive(Default)]
pub(super) struct CallEvents(Option<Box<FinishedOnDrop>>);

struct FinishedOnDrop {
    pool: Arc<PoolInner>,
    runner: RunnerRef,
    function: &'static str,
    trace: TraceContext,
    since: Instant,
    ok: bool,
}

impl CallEvents {
    pub(super) fn start(
        pool: &Arc<PoolInner>,
        runner: RunnerRef,
        function: &'static str,
        trace: Option<TraceContext>,
    ) -> Self {
        let listened = trace.filter(|_| pool.has_event_listeners());
        let Some(trace) = listened else { return Self(None) };
        pool.send_event(PoolEvent::CallStarted { runner, function, trace });
        let pool = pool.clone();
        Self(Some(Box::new(FinishedOnDrop {
            pool,
            runner,
            function,
            trace,
            since: now(),
            ok: false,
        })))
    }

    /// The function returned, so the call finishes without an error.
    pub(super) fn succeeded(&mut self) {
        if let Some(finished) = &mut self.0 {
            finished.ok = true;
        }
    }
}

impl Drop for FinishedOnDrop {
    fn drop(&mut self) {
        let Self { runner, function, trace, ok, .. } = *self;
        let took = now().saturating_duration_since(self.since);
        self.pool.send_event(PoolEvent::CallFinished { runner, function, trace, took, ok });
    }
}
