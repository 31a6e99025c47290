//! What a pool tells of itself, as it happens.

use std::sync::Arc;
use std::time::Duration;

use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;
use tokio::sync::broadcast;

use super::driver::Failure;
use super::state::{GrowOutcome, Note, RunnerId};
use crate::backend::BootFailure;

pub use super::state::{GrowReason, ShrinkReason};

/// Something that a pool did or saw.
///
/// Boots come in pairs of [`GrowStart`](Self::GrowStart) and [`GrowEnd`](Self::GrowEnd), calls in
/// pairs of [`CallStarted`](Self::CallStarted) and [`CallFinished`](Self::CallFinished), so that
/// gauges can be derived. A call is the same where its `trace` is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PoolEvent {
    /// A boot begins.
    GrowStart {
        /// The runner.
        runner: RunnerRef,
        /// What for.
        reason: GrowReason,
    },
    /// A boot has ended.
    GrowEnd {
        /// The runner.
        runner: RunnerRef,
        /// Why it failed, if it did; none also where nobody wanted it any more.
        failure: Option<Arc<BootFailure>>,
        /// Whether the runner is up.
        up: bool,
    },
    /// A runner takes no more calls.
    Draining {
        /// The runner.
        runner: RunnerRef,
        /// Why.
        reason: ShrinkReason,
    },
    /// A runner has gone, in good order.
    Shrink {
        /// The runner.
        runner: RunnerRef,
        /// Why.
        reason: ShrinkReason,
    },
    /// A runner was lost, and so many calls with it.
    RunnerLost {
        /// The runner.
        runner: RunnerRef,
        /// Calls that were on it.
        calls: usize,
    },
    /// An instance could not be stopped, in spite of several tries: look after it.
    StopFailed {
        /// The runner.
        runner: RunnerRef,
        /// Its backend's name.
        instance: String,
        /// Why.
        why: String,
    },
    /// No slot was free; a call waits.
    CallQueued {
        /// The function.
        function: &'static str,
        /// The call's place in its trace: unique, and the same in all that is told of it.
        trace: TraceContext,
    },
    /// A call was sent to a runner.
    CallStarted {
        /// The runner.
        runner: RunnerRef,
        /// The function.
        function: &'static str,
        /// The call, as when it was queued.
        trace: TraceContext,
    },
    /// A call is over, or its caller is gone.
    CallFinished {
        /// The runner.
        runner: RunnerRef,
        /// The function.
        function: &'static str,
        /// The call, as when it was queued.
        trace: TraceContext,
        /// Since it was sent to the runner.
        took: Duration,
        /// Whether the function ended by itself.
        ok: bool,
    },
    /// Boots pause after failures.
    BackingOff {
        /// So many in a row.
        failures: u32,
    },
    /// Boots failed so often in a row that none is tried for a while.
    BreakerOpened {
        /// So many in a row.
        failures: u32,
    },
    /// A boot came up after that.
    BreakerClosed,
    /// `min` runners are up.
    Ready,
    /// The pool has drained.
    Drained,
}

pub(super) fn of(
    note: Note<Failure>,
    name: impl Fn(RunnerId) -> Option<RunnerRef>,
) -> Option<PoolEvent> {
    Some(match note {
        Note::GrowStart { runner, reason } => {
            PoolEvent::GrowStart { runner: name(runner)?, reason }
        }
        Note::GrowEnd { runner, outcome } => {
            let up = outcome == GrowOutcome::Up;
            let failure = match outcome {
                GrowOutcome::BootFailed(failure) => Some(failure),
                _ => None,
            };
            PoolEvent::GrowEnd { runner: name(runner)?, failure, up }
        }
        Note::Draining { runner, reason } => PoolEvent::Draining { runner: name(runner)?, reason },
        Note::Shrink { runner, reason } => PoolEvent::Shrink { runner: name(runner)?, reason },
        Note::RunnerLost { runner, leases } => {
            PoolEvent::RunnerLost { runner: name(runner)?, calls: leases.len() }
        }
        // The call itself tells, and who it is.
        Note::Queued { .. } => return None,
        Note::BackingOff { failures, .. } => PoolEvent::BackingOff { failures },
        Note::BreakerOpened { failures, .. } => PoolEvent::BreakerOpened { failures },
        Note::BreakerClosed => PoolEvent::BreakerClosed,
        Note::Ready => PoolEvent::Ready,
        Note::Drained => PoolEvent::Drained,
    })
}

/// A listener to a pool's events. One that is slow misses the oldest, and is told how many.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<PoolEvent>);

/// The listener was too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were missed: the listener is too slow")]
pub struct Lagged(pub u64);

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<PoolEvent>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` when the pool is gone. Cancel-safe.
    ///
    /// # Errors
    /// [`Lagged`]; the next call goes on with the oldest event that is left.
    pub async fn next(&mut self) -> Option<Result<PoolEvent, Lagged>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(Lagged(missed))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
