//! The inputs ([`Event`]) and the outputs ([`Action`]) of the pool's state machine.

use std::time::{Duration, Instant};

use super::ids::{LeaseId, RunnerId, WaiterId};
use super::limits::LimitsChange;

/// Everything that can happen to a pool.
///
/// An event may come late, twice, or about a runner or a lease that no longer exists; then it
/// changes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event<F> {
    /// A caller asks for a slot. Each checkout has a `waiter` of its own; a second checkout of a
    /// waiter that is still queued is ignored.
    ///
    /// The caller waits until `deadline`. If the deadline bounds its work as well, the call goes to
    /// no runner that expires before it.
    Checkout { waiter: WaiterId, deadline: Option<Instant>, bounds_work: bool },
    /// The caller no longer waits, and gets no answer. Without effect once the waiter is answered:
    /// a lease granted to a caller that has left comes back as [`Event::CheckIn`].
    CancelCheckout { waiter: WaiterId },
    /// The call that held this lease has completed, or was dropped.
    CheckIn { lease: LeaseId },
    /// A booted runner has connected and proved its identity. Its platform lets it run until
    /// `expires`; `None` means without limit.
    RunnerUp { runner: RunnerId, expires: Option<Instant> },
    /// A boot failed: the backend rejected it, the instance died, or the boot timed out.
    BootFailed { runner: RunnerId, failure: F },
    /// A runner is lost: its link was not resumed in time, or its instance died. Its leases are
    /// void.
    RunnerLost { runner: RunnerId },
    /// The runner announces that it must shut down (SIGTERM, deadline, Spot notice). It waits for
    /// [`Action::DrainRunner`] for as long as it can.
    ShutdownAnnounced { runner: RunnerId },
    /// The runner has been idle for `idle_for`, and offers to shut down.
    IdleProposed { runner: RunnerId, idle_for: Duration },
    /// Somebody wants the runner to end when its calls have ended, and to get no more.
    DrainRequested { runner: RunnerId },
    /// Somebody wants the runner to end at once. Its leases are void.
    StopRequested { runner: RunnerId },
    /// Nothing is left of the runner: its instance is dead, was never started, or has been reported
    /// as impossible to stop.
    RunnerGone { runner: RunnerId },
    /// The number of calls that wait or run on the burst backend because there was no slot here.
    /// The pool boots runners for these calls as for waiters, but gives them no slots.
    BurstCalls { calls: u64 },
    /// Boots no longer fail for the reason given to `PoolState::new`.
    UnblockBoots,
    /// The limits change.
    Resize { change: LimitsChange },
    /// The whole pool shuts down: it accepts no more calls, and the calls that hold leases run to
    /// completion.
    DrainPool,
}

/// Everything that a pool asks of its driver, to be carried out in order.
#[must_use = "an action that is not carried out leaves a caller or an instance behind"]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action<F> {
    /// Answer `waiter`: it holds `lease` on `runner` until it checks the lease in.
    Grant { waiter: WaiterId, runner: RunnerId, lease: LeaseId },
    /// Answer `waiter`: there is no slot for it.
    Reject { waiter: WaiterId, error: CheckoutError<F> },
    /// Boot an instance. Answered by `RunnerUp` or `BootFailed`, in bounded time.
    Boot { runner: RunnerId },
    /// Kill the runner's instance, or cancel its boot. Stopping is idempotent; the driver retries
    /// it. Answered by `RunnerGone`, in bounded time.
    Stop { runner: RunnerId },
    /// Tell the runner, which holds no lease, to shut down. Answered by `RunnerGone`, in bounded
    /// time.
    DrainRunner { runner: RunnerId },
    /// Answer an idle proposal: stay. The runner proposes again after being idle for another
    /// `again_in`; `None` means its own idle time.
    StayUp { runner: RunnerId, again_in: Option<Duration> },
    /// For the event stream; nothing else is to be done.
    Note(Note<F>),
}

/// Why a waiter gets no lease.
#[must_use]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum CheckoutError<F> {
    /// `limit` other calls wait already.
    QueueFull { limit: usize },
    /// The waiter would need another runner, for which the budget does not pay.
    OverBudget,
    /// The pool is draining.
    Draining,
    /// A boot failed, and no other runner that could serve the waiter is up or booting.
    BootFailed(F),
    /// The waiter's deadline has passed.
    Timeout {
        phase: WaitPhase,
        /// The last boot that failed, unless a runner has come up since.
        last_failure: Option<F>,
    },
}

/// What a waiter was waiting for when its deadline passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WaitPhase {
    /// A slot: runners were up, and all of them were full.
    Queue,
    /// A boot: no runner was up, or the boots under way had slots for all waiters.
    Boot,
}

/// An event of the pool's event stream.
///
/// Notes come in pairs, so that gauges can be derived: each `GrowStart` is followed by one
/// `GrowEnd`, and each `GrowEnd` of a runner that came up by one `Shrink` or one `RunnerLost`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Note<F> {
    /// A boot begins.
    GrowStart { runner: RunnerId, reason: GrowReason },
    /// A boot has succeeded, failed or been cancelled.
    GrowEnd { runner: RunnerId, outcome: GrowOutcome<F> },
    /// The runner gets no more leases, and drains once it holds none.
    Draining { runner: RunnerId, reason: ShrinkReason },
    /// The runner has shut down cleanly.
    Shrink { runner: RunnerId, reason: ShrinkReason },
    /// The runner is lost, exited before its calls had completed, or was stopped on request: the
    /// leases that it held are void.
    RunnerLost { runner: RunnerId, leases: Vec<LeaseId> },
    /// No slot is free, and the waiter waits.
    Queued { waiter: WaiterId },
    /// No boot starts until then, after so many failures in a row.
    BackingOff { until: Instant, failures: u32 },
    /// So many boots failed in a row that none is tried until then, and calls do not wait for one.
    BreakerOpened { until: Instant, failures: u32 },
    /// A runner came up after the breaker had opened.
    BreakerClosed,
    /// `min` runners are up, for the first time since the start or since `min` was raised.
    Ready,
    /// The pool has drained: no runner is left.
    Drained,
}

/// Why a pool boots a runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrowReason {
    /// Calls wait for a slot.
    Demand,
    /// Fewer than `min` runners are up or booting.
    Min,
    /// Fewer than `min_free_slots` slots are free.
    FreeSlots,
}

/// The result of a boot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum GrowOutcome<F> {
    /// The runner is up.
    Up,
    /// The boot failed, for this reason.
    BootFailed(F),
    /// The runner was lost or exited before it was up, for no known reason.
    Lost,
    /// The pool no longer needed the runner, and cancelled its boot.
    Stopped,
}

/// Why a runner shuts down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShrinkReason {
    /// It was idle, and not needed.
    Idle,
    /// It has served its one call, in a pool with `single_use`.
    SingleUse,
    /// `max` was lowered.
    Resize,
    /// The runner announced that it must shut down: after a SIGTERM, at its `max_lifetime`, or at
    /// its platform's deadline.
    Announced,
    /// It would expire before the next call completes: its platform limits its lifetime.
    Expiring,
    /// [`Pool::drain_runner`](crate::Pool::drain_runner) or
    /// [`Pool::stop_runner`](crate::Pool::stop_runner) was called.
    Requested,
    /// The pool drains.
    PoolDrain,
}
