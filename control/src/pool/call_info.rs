//! What a pool knows a call by, in its events, in the traces of its boots, and in its log.

use std::time::{Duration, Instant};

use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::sync::Mutex;
use flame_wire::trace::TraceContext;

use super::lane::LaneRole;

/// One call. The call itself, its place in the queue and the listeners of its log share it.
#[derive(Debug)]
pub(crate) struct CallInfo {
    function: &'static str,
    changing: Mutex<Changing>,
}

#[derive(Debug)]
struct Changing {
    trace: TraceContext,
    sent: Option<SentCall>,
    /// How long it was on its runner, once it has ended.
    ran_for: Option<Duration>,
}

/// A call has left the queue for a runner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SentCall {
    pub(crate) at: Instant,
    pub(crate) runner: RunnerRef,
    pub(crate) lane: LaneRole,
    /// Its id on that runner.
    pub(crate) id: CallId,
}

impl CallInfo {
    pub(crate) fn new(function: &'static str, trace: TraceContext) -> Self {
        Self { function, changing: Mutex::new(Changing { trace, sent: None, ran_for: None }) }
    }

    pub(crate) fn function(&self) -> &'static str {
        self.function
    }

    /// The call's place in its trace.
    pub(crate) fn trace(&self) -> TraceContext {
        self.changing.lock().trace
    }

    pub(crate) fn set_trace(&self, trace: TraceContext) {
        self.changing.lock().trace = trace;
    }

    /// Where the call was sent; `None` if it has not been sent.
    pub(crate) fn sent(&self) -> Option<SentCall> {
        self.changing.lock().sent
    }

    pub(crate) fn set_sent(&self, sent: SentCall) {
        self.changing.lock().sent = Some(sent);
    }

    /// The lane on which the call was, and for how long; `None` if it has not ended, or was not sent.
    pub(crate) fn ran(&self) -> Option<(LaneRole, Duration)> {
        let changing = self.changing.lock();
        Some((changing.sent?.lane, changing.ran_for?))
    }

    pub(crate) fn set_ran(&self, ran_for: Duration) {
        self.changing.lock().ran_for = Some(ran_for);
    }

    /// Whether the call with this id on this runner is this one.
    pub(crate) fn is(&self, runner: RunnerRef, id: Option<CallId>) -> bool {
        self.sent().is_some_and(|sent| sent.runner == runner && Some(sent.id) == id)
    }
}
