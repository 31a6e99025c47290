//! The pool's two vocabularies: what it is told ([`Event`]) and what it asks for ([`Action`]).

use std::time::{Duration, Instant};

use super::ids::{LeaseId, RunnerId, WaiterId};
use super::limits::LimitsChange;

/// Everything that can happen to a pool.
///
/// Events may come late, twice, or about runners and leases that are no more: those change nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event<F> {
    /// A caller asks for a slot. Each checkout has a `waiter` of its own; one that is still queued
    /// under the same id makes the second a duplicate, which is ignored.
    ///
    /// It waits until `deadline`. Where that bounds its work, too, it goes to no runner that expires
    /// before.
    Checkout { waiter: WaiterId, deadline: Option<Instant>, bounded: bool },
    /// The caller no longer waits; it gets no answer. Without effect once the waiter is answered:
    /// a lease granted to a caller that has left comes back by [`Event::CheckIn`].
    CancelCheckout { waiter: WaiterId },
    /// A lease is over.
    CheckIn { lease: LeaseId },
    /// A booted runner has dialled home and proved itself. Its platform lets it work until
    /// `expires`; `None`: without end.
    RunnerUp { runner: RunnerId, expires: Option<Instant> },
    /// A boot did not make it: refused by the backend, died, or past its boot timeout.
    BootFailed { runner: RunnerId, failure: F },
    /// A runner is lost: its link beyond the grace, or its instance. Its leases are void.
    RunnerLost { runner: RunnerId },
    /// The runner announces that it ends by its own account (SIGTERM, deadline, Spot notice). It
    /// waits for [`Action::DrainRunner`], as far as it can.
    RunnerDraining { runner: RunnerId },
    /// The runner has been idle for so long and offers to end.
    IdleProposed { runner: RunnerId, idle_for: Duration },
    /// Nothing is left of the runner: its instance is seen dead, or was never made, or, reported as
    /// such, could not be stopped.
    RunnerGone { runner: RunnerId },
    /// So many calls wait or run elsewhere only because there was no slot here: boots are owed to
    /// them as to waiters, but no slots.
    Elsewhere { calls: u64 },
    /// Boots are no longer in vain: see `PoolState::new`.
    Unbar,
    /// The limits change.
    Resize { change: LimitsChange },
    /// The whole pool ends: nothing new, leases finish. For good.
    Drain,
}

/// Everything a pool asks of its driver, to be carried out in order.
#[must_use = "an action that is not carried out leaves a caller or an instance behind"]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action<F> {
    /// Answer `waiter`: it holds `lease` on `runner` until it checks it in.
    Grant { waiter: WaiterId, runner: RunnerId, lease: LeaseId },
    /// Answer `waiter`: there is no slot for it.
    Refuse { waiter: WaiterId, error: Refusal<F> },
    /// Boot an instance. Answered by `RunnerUp` or `BootFailed`, in bounded time.
    Boot { runner: RunnerId },
    /// Kill the runner's instance, or its boot. Stopping is idempotent, and seeing it through is the
    /// driver's. Answered by `RunnerGone`, in bounded time.
    Stop { runner: RunnerId },
    /// Tell the runner, which holds no lease, to end. Answered by `RunnerGone`, in bounded time.
    DrainRunner { runner: RunnerId },
    /// Answer an idle proposal: stay. The runner proposes again after `again_in` more of idleness,
    /// `None`: after its own idle time.
    StayUp { runner: RunnerId, again_in: Option<Duration> },
    /// For the event stream; asks for nothing.
    Note(Note<F>),
}

/// Why a waiter gets no lease.
#[must_use]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal<F> {
    /// `limit` others wait already.
    QueueFull { limit: usize },
    /// The pool is draining.
    Draining,
    /// A boot failed and nothing else that could serve the waiter is up or under way.
    BootFailed(F),
    /// The waiter's deadline has passed.
    Timeout {
        phase: WaitPhase,
        /// The last boot that failed, if none has come up since.
        last_failure: Option<F>,
    },
}

/// What a waiter was waiting for when its deadline passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WaitPhase {
    /// For a slot: runners were up, all full.
    Queue,
    /// For a boot: no runner was up, or those under way would have served all who waited.
    Boot,
}

/// What the pool did, for the event stream.
///
/// They come in pairs, so that gauges derive: each `GrowStart` is followed by one `GrowEnd`, each
/// `GrowEnd` that came up by one `Shrink` or one `RunnerLost`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Note<F> {
    /// A boot begins.
    GrowStart { runner: RunnerId, reason: GrowReason },
    /// A boot has ended.
    GrowEnd { runner: RunnerId, outcome: GrowOutcome<F> },
    /// The runner takes no more leases and ends once it is empty.
    Draining { runner: RunnerId, reason: ShrinkReason },
    /// The runner is gone, in good order.
    Shrink { runner: RunnerId, reason: ShrinkReason },
    /// The runner is gone, and the leases it held are void.
    RunnerLost { runner: RunnerId, leases: Vec<LeaseId> },
    /// No slot is free; the waiter waits.
    Queued { waiter: WaiterId },
    /// Boots pause until then, after so many failures in a row.
    BackingOff { until: Instant, failures: u32 },
    /// So many boots failed in a row that until then none is tried at all.
    BreakerOpened { until: Instant, failures: u32 },
    /// A boot came up after the breaker had opened.
    BreakerClosed,
    /// `min` runners are up, for the first time since the start or since `min` was raised.
    Ready,
    /// The pool has drained: no runner is left.
    Drained,
}

/// What a boot is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrowReason {
    /// Waiters.
    Demand,
    /// Keeping `min`.
    Min,
    /// Keeping `min_free_slots` slots free.
    Spare,
}

/// How a boot ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum GrowOutcome<F> {
    /// The runner is up.
    Up,
    /// It failed, for this reason.
    BootFailed(F),
    /// It was lost, or left, before it was up; nobody knows why.
    Lost,
    /// The pool no longer wanted it.
    Stopped,
}

/// Why a runner ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShrinkReason {
    /// It was idle, and not needed.
    Idle,
    /// It has served its single use.
    SingleUse,
    /// `max` was lowered.
    Resize,
    /// It announced its end by itself.
    Announced,
    /// Its platform ends it before the next call would be over.
    Expiring,
    /// The pool drains.
    PoolDrain,
}
