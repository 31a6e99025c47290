//! What is recorded of one call: its pool's metrics, and its events.

use std::sync::Arc;
use std::time::Instant;

use flame_wire::ids::{CallId, RunnerRef};

use super::handle::CallHandle;
use crate::error::CallError;
use crate::metrics::{CallOutcome, CallPhase};
use crate::pool::PoolInner;
use crate::pool::call_info::{CallInfo, SentCall};
use crate::pool::events::PoolEvent;
use crate::pool::lane::{LaneRole, now};

/// Records one call, from the moment it is made until this record is dropped. A call whose record
/// is dropped before it has an outcome was dropped by its caller.
pub(super) struct CallRecord {
    call: CallHandle,
    made: Instant,
    outcome: CallOutcome,
    /// The error of the call, if somebody listens to events.
    error: Option<Arc<CallError>>,
    /// When the call's result or its failure was there.
    answered: Option<Instant>,
}

impl CallRecord {
    pub(super) fn new(call: CallHandle) -> Self {
        Self { call, made: now(), outcome: CallOutcome::Cancelled, error: None, answered: None }
    }

    /// The call is made now, and not when it was encoded.
    pub(super) fn made_now(&mut self) {
        self.made = now();
    }

    /// The call is about to be sent to a runner.
    pub(super) fn sent(&mut self, runner: RunnerRef, lane: LaneRole, id: CallId) {
        let CallHandle { pool, info } = &self.call;
        info.set_sent(SentCall { at: now(), runner, lane, id });
        if pool.has_event_listeners() {
            let (function, trace) = (info.function(), info.trace());
            pool.send_event(PoolEvent::CallStarted { runner, function, trace });
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
            self.error = self.pool().has_event_listeners().then(|| Arc::new(error.clone()));
            self.answered.get_or_insert_with(now);
        }
        result
    }

    pub(super) fn call(&self) -> &CallHandle {
        &self.call
    }

    pub(super) fn pool(&self) -> &Arc<PoolInner> {
        &self.call.pool
    }

    pub(super) fn info(&self) -> &Arc<CallInfo> {
        &self.call.info
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        let CallHandle { pool, info } = &self.call;
        let sent = info.sent();
        let end = now();
        let answered = self.answered.unwrap_or(end);
        let left_queue = sent.map_or(answered, |sent| sent.at);
        let queued = left_queue.saturating_duration_since(self.made);
        let took = answered.saturating_duration_since(left_queue);
        let lane = sent.map_or(LaneRole::Primary, |sent| sent.lane);
        let recorder = pool.recorder(lane);
        recorder.calls.add_one(self.outcome);
        recorder.call_duration.record(CallPhase::Queue, queued);
        if sent.is_some() {
            info.set_ran(took);
            recorder.call_duration.record(CallPhase::Run, took);
        }
        let reply = end.saturating_duration_since(answered);
        if self.outcome == CallOutcome::Ok {
            recorder.call_duration.record(CallPhase::Reply, reply);
        }
        if pool.has_event_listeners() {
            pool.send_event(PoolEvent::CallFinished {
                runner: sent.map(|sent| sent.runner),
                function: info.function(),
                trace: info.trace(),
                queued,
                took,
                reply,
                outcome: self.outcome,
                error: self.error.take(),
                estimated_cost: self.call.estimated_cost().unwrap_or(0.0),
            });
        }
    }
}
