//! The events of a pool.

use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;
use tokio::sync::broadcast;

use super::state::{GrowOutcome, Note, RunnerId};
use crate::backend::BootFailure;
use crate::error::CallError;
use crate::metrics::CallOutcome;

pub use super::state::{GrowReason, ShrinkReason};

/// Events that a listener may be behind before it misses the oldest.
const BUFFERED_EVENTS: usize = 1024;

/// Something that a pool did or observed.
///
/// Boots come in pairs of [`GrowStart`](Self::GrowStart) and [`GrowEnd`](Self::GrowEnd). The events
/// of one call have the same `trace`. A listener that is too slow misses events, so counts come from
/// [`metrics`](crate::metrics), which miss nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PoolEvent {
    /// A boot begins.
    GrowStart {
        /// The runner.
        runner: RunnerRef,
        /// Why the pool boots it.
        reason: GrowReason,
    },
    /// A boot has ended.
    GrowEnd {
        /// The runner.
        runner: RunnerRef,
        /// Why the boot failed. `None` if the runner is up, and if the pool stopped the boot
        /// because it no longer needed the runner.
        failure: Option<Arc<BootFailure>>,
        /// Whether the runner is up.
        up: bool,
    },
    /// A runner accepts no more calls.
    Draining {
        /// The runner.
        runner: RunnerRef,
        /// Why it ends.
        reason: ShrinkReason,
    },
    /// A runner has shut down cleanly.
    Shrink {
        /// The runner.
        runner: RunnerRef,
        /// Why it ended.
        reason: ShrinkReason,
    },
    /// A runner was lost, and the calls on it as well.
    RunnerLost {
        /// The runner.
        runner: RunnerRef,
        /// How many calls it was serving.
        calls: usize,
    },
    /// An instance could not be stopped, although the pool has tried several times. It may still
    /// run, and cost money: check it.
    StopFailed {
        /// The runner.
        runner: RunnerRef,
        /// The instance's id, assigned by its backend. Empty if the backend has not returned one.
        instance: String,
        /// Why it could not be stopped.
        why: String,
    },
    /// A call waits, because no slot was free.
    CallQueued {
        /// The function.
        function: &'static str,
        /// The call's place in its trace. It is unique, and the same in all events of the call.
        trace: TraceContext,
    },
    /// A call was sent to a runner.
    CallStarted {
        /// The runner.
        runner: RunnerRef,
        /// The function.
        function: &'static str,
        /// The call, as in [`CallQueued`](Self::CallQueued).
        trace: TraceContext,
    },
    /// A call has ended, or its caller has dropped it. Each call ends with this event, even if it
    /// was never sent.
    CallFinished {
        /// The runner; `None` if the call was never sent to one.
        runner: Option<RunnerRef>,
        /// The function.
        function: &'static str,
        /// The call, as in [`CallQueued`](Self::CallQueued).
        trace: TraceContext,
        /// How long the call waited for a slot, which includes the boot that it waited for.
        queued: Duration,
        /// The time from sending the call to the runner until its result was there.
        took: Duration,
        /// The time from then until the caller had the result: the result was decoded, and the
        /// caller's future was polled.
        reply: Duration,
        /// How the call ended.
        outcome: CallOutcome,
        /// The error that the caller got. `None` if the function returned, and if the caller has
        /// dropped the call.
        error: Option<Arc<CallError>>,
        /// The cost of the slot that the call had, for the time that it took: an estimate in US
        /// dollars; see [`cost`](crate::cost). 0 if the call was never sent.
        estimated_cost: f64,
    },
    /// Boots have failed, and the next one waits for a while.
    BackingOff {
        /// Failures in a row.
        failures: u32,
    },
    /// Boots have failed so often in a row that none is tried for a while.
    BreakerOpened {
        /// Failures in a row.
        failures: u32,
    },
    /// A runner came up after [`BreakerOpened`](Self::BreakerOpened).
    BreakerClosed,
    /// `min` runners are up.
    Ready,
    /// The pool has drained.
    Drained,
}

/// The event that a note of the state machine becomes. `runner` finds the runner of an id.
pub(super) fn of_note(
    note: Note<Arc<BootFailure>>,
    runner: impl Fn(RunnerId) -> Option<RunnerRef>,
) -> Option<PoolEvent> {
    Some(match note {
        Note::GrowStart { runner: id, reason } => {
            PoolEvent::GrowStart { runner: runner(id)?, reason }
        }
        Note::GrowEnd { runner: id, outcome } => {
            let up = outcome == GrowOutcome::Up;
            let failure = match outcome {
                GrowOutcome::BootFailed(failure) => Some(failure),
                _ => None,
            };
            PoolEvent::GrowEnd { runner: runner(id)?, failure, up }
        }
        Note::Draining { runner: id, reason } => {
            PoolEvent::Draining { runner: runner(id)?, reason }
        }
        Note::Shrink { runner: id, reason } => PoolEvent::Shrink { runner: runner(id)?, reason },
        Note::RunnerLost { runner: id, leases } => {
            PoolEvent::RunnerLost { runner: runner(id)?, calls: leases.len() }
        }
        Note::BackingOff { failures, .. } => PoolEvent::BackingOff { failures },
        Note::BreakerOpened { failures, .. } => PoolEvent::BreakerOpened { failures },
        Note::BreakerClosed => PoolEvent::BreakerClosed,
        // The lane makes these: one needs the waiter's call, and two are about the whole pool.
        Note::Queued { .. } | Note::Ready | Note::Drained => return None,
    })
}

/// Sends a pool's events to its listeners and to the log.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    pool: String,
    sender: broadcast::Sender<PoolEvent>,
}

impl EventSender {
    pub(super) fn new(pool: &str) -> Self {
        Self { pool: pool.to_owned(), sender: broadcast::Sender::new(BUFFERED_EVENTS) }
    }

    pub(crate) fn send(&self, event: PoolEvent) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let (pool, event) = (self.pool.clone(), event.clone());
            log_writer::event(move || tracing::debug!(pool, ?event, "pool event"));
        }
        // Fails only if nobody listens.
        let _ = self.sender.send(event);
    }

    pub(crate) fn has_listeners(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<PoolEvent> {
        self.sender.subscribe()
    }
}

/// A listener to a pool's events; see [`Pool::events`](crate::Pool::events). If it is more than
/// 1,024 events behind, it misses the oldest, and is told how many.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<PoolEvent>);

/// The listener was too slow, and missed this many events or log records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events or log records of a pool were missed, because their listener is too slow")]
pub struct Lagged(pub u64);

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<PoolEvent>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` when the pool is gone. Cancel-safe.
    ///
    /// # Errors
    /// [`Lagged`] if events were missed. The next call returns the oldest event that is left.
    pub async fn next(&mut self) -> Option<Result<PoolEvent, Lagged>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(Lagged(missed))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
