//! What is recorded of one call: its pool's metrics, and its events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;

use crate::error::CallError;
use crate::metrics::{CallOutcome, CallPhase};
use crate::pool::PoolInner;
use crate::pool::events::PoolEvent;
use crate::pool::lane::{LaneRole, now};

/// Records one call, from the moment it is made until this record is dropped. A call whose record
/// is dropped before it has an outcome was dropped by its caller.
pub(super) struct CallRecord {
    pool: Arc<PoolInner>,
    function: &'static str,
    trace: TraceContext,
    made: Instant,
    sent: Option<SentCall>,
    outcome: CallOutcome,
    /// The error of the call, if somebody listens to events.
    error: Option<Arc<CallError>>,
    /// When the call's result or its failure was there.
    answered: Option<Instant>,
}

/// The call has left the queue for a runner.
struct SentCall {
    at: Instant,
    runner: RunnerRef,
    lane: LaneRole,
}

impl CallRecord {
    pub(super) fn new(pool: &Arc<PoolInner>, function: &'static str, trace: TraceContext) -> Self {
        Self {
            pool: pool.clone(),
            function,
            trace,
            made: now(),
            sent: None,
            outcome: CallOutcome::Cancelled,
            error: None,
            answered: None,
        }
    }

    /// The call is made now, and not when it was encoded.
    pub(super) fn made_now(&mut self) {
        self.made = now();
    }

    /// The call's place in its trace is this one.
    pub(super) fn traced(&mut self, trace: TraceContext) {
        self.trace = trace;
    }

    /// The call is about to be sent to a runner.
    pub(super) fn sent(&mut self, runner: RunnerRef, lane: LaneRole) {
        self.sent = Some(SentCall { at: now(), runner, lane });
        if self.pool.has_event_listeners() {
            let Self { function, trace, .. } = *self;
            self.pool.send_event(PoolEvent::CallStarted { runner, function, trace });
        }
    }

    /// The function has returned.
    pub(super) fn succeeded(&mut self) {
        self.outcome = CallOutcome::Ok;
        self.answered.get_or_insert_with(now);
    }

    /// Notes how the call has failed, if this is an error.
    pub(super) fn note_error<T>(&mut self, result: Result<T, CallError>) -> Result<T, CallError> {
        if let Err(error) = &result {
            self.outcome = CallOutcome::of(error);
            self.error = self.pool.has_event_listeners().then(|| Arc::new(error.clone()));
            self.answered.get_or_insert_with(now);
        }
        result
    }

    pub(super) fn pool(&self) -> &Arc<PoolInner> {
        &self.pool
    }

    pub(super) fn function(&self) -> &'static str {
        self.function
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        let end = now();
        let answered = self.answered.unwrap_or(end);
        let left_queue = self.sent.as_ref().map_or(answered, |sent| sent.at);
        let queued = left_queue.saturating_duration_since(self.made);
        let took = answered.saturating_duration_since(left_queue);
        let lane = self.sent.as_ref().map_or(LaneRole::Primary, |sent| sent.lane);
        let recorder = self.pool.recorder(lane);
        recorder.calls.add_one(self.outcome);
        recorder.call_duration.record(CallPhase::Queue, queued);
        if self.sent.is_some() {
            recorder.call_duration.record(CallPhase::Run, took);
        }
        let reply = end.saturating_duration_since(answered);
        if self.outcome == CallOutcome::Ok {
            recorder.call_duration.record(CallPhase::Reply, reply);
        }
        if self.pool.has_event_listeners() {
            self.pool.send_event(PoolEvent::CallFinished {
                runner: self.sent.as_ref().map(|sent| sent.runner),
                function: self.function,
                trace: self.trace,
                queued,
                took,
                reply,
                outcome: self.outcome,
                error: self.error.take(),
                estimated_cost: if self.sent.is_some() {
                    cost(&self.pool, lane, took)
                } else {
                    0.0
                },
            });
        }
    }
}

/// The cost of one slot of a runner for this long.
fn cost(pool: &PoolInner, lane: LaneRole, took: Duration) -> f64 {
    let lane = pool.lane(lane);
    let slots = lane.read(|state| state.limits().slots_per_runner());
    lane.recorder.price().for_time(took) / f64::from(slots)
}
