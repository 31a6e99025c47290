//! The pool's decisions: which call gets which slot, and how many runners there are.
//!
//! The state machine knows ids and instants, but no clock, socket or task. The driver feeds it
//! [`Event`]s, carries out the [`Action`]s that it polls, and calls
//! [`handle_timeout`](PoolState::handle_timeout) when [`poll_timeout`](PoolState::poll_timeout) is
//! due:
//!
//! ```text
//!   Checkout ─────────────▶ Grant, or Reject, or a place in the queue (answered later, once)
//!   CheckIn ──────────────▶ Grant to the waiter that has waited longest
//!   (unmet demand) ───────▶ Boot ──▶ RunnerUp ──▶ Grant ...
//!                                └─▶ BootFailed ──▶ Stop, back off, Reject if nothing is left to wait for
//!   IdleProposed ─────────▶ StayUp, or DrainRunner ──▶ RunnerGone
//!   RunnerLost ───────────▶ Stop; its leases are void; the next runner serves the waiters
//!   Stop ─────────────────▶ RunnerGone: until then the instance counts against `max`
//! ```
//!
//! While every boot is known to fail, boots are blocked: the pool boots nothing, and rejects every
//! checkout that would need a boot, until [`Event::UnblockBoots`].
//!
//! Invariants (each is a property test in `state/properties.rs`):
//! 1. A runner holds at most `max_concurrency` leases; no boot starts while there are `max`
//!    instances, or as many as the budget pays for, including those that are shutting down.
//! 2. Each waiter is answered exactly once, unless it cancels first.
//! 3. Unmet demand implies that a boot is under way, `max` is reached, the budget is used up, boots
//!    back off, or boots are blocked.
//! 4. No runner is leased that is retiring, draining, used up, lost or stopped, or that expires
//!    before the call completes. For a call of unknown length see `state/placement.rs`.
//! 5. `min` is kept, with backoff, without blocking anything.
//! 6. Every runner that was booted is reported gone, or is stopped.
//!
//! After each call no slot is free while anyone waits. So a checkout that finds a free slot takes
//! it at once, and never overtakes a waiter.

pub(crate) mod event;
pub(crate) mod explain;
pub(crate) mod ids;
pub(crate) mod limits;

mod breaker;
mod fleet;
mod growth;
mod index;
mod placement;
mod queue;
mod runners;

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

pub(crate) use event::{Action, CheckoutError, Event, GrowOutcome, Note, WaitPhase};
pub use event::{GrowReason, ShrinkReason};
pub use explain::RunnerState;
pub(crate) use explain::{Growth, RunnerSnapshot, StateExplanation, StateSnapshot};
pub(crate) use ids::{LeaseId, RunnerId, WaiterId};
pub(crate) use limits::{BootBackoff, BudgetLimit, PoolLimits};
pub use limits::{Idle, LimitsChange, Placement};

use breaker::{BootBreaker, BreakerState};
use fleet::{Fleet, RunnerPhase};
use queue::WaitQueue;

/// The pool's state machine. `F` describes a failed boot; the state machine only passes it through.
#[derive(Debug)]
pub(crate) struct PoolState<F> {
    limits: PoolLimits,
    /// `min`, less the runners that were allowed to idle out since the last checkout.
    kept_min: u32,
    fleet: Fleet,
    queue: WaitQueue,
    /// Calls that the burst backend serves because there was no slot here.
    burst_calls: u64,
    breaker: BootBreaker,
    /// The last boot that failed, unless a runner has come up since.
    last_failure: Option<F>,
    /// Why every boot would fail, while boots are blocked.
    boots_blocked: Option<F>,
    /// When growth that is held back is planned again.
    retry: Option<Instant>,
    stage: DrainStage,
    /// Whether `Ready` has been noted for the present `min`.
    ready_noted: bool,
    actions: VecDeque<Action<F>>,
}

/// How soon a pool could serve one more call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SlotAvailability {
    /// A slot is free.
    Now,
    /// A boot that is under way, or that the pool would start, has a slot for the call.
    AfterBoot,
    /// Only after another call has completed, or when boots work again.
    Full,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum DrainStage {
    Open,
    Draining,
    Drained,
}

impl<F: Clone> PoolState<F> {
    /// A pool that boots its `min` and `min_free_slots` at once: poll its actions. `seed` is for
    /// jitter. With `boots_blocked`, every boot would fail for that reason until
    /// [`Event::UnblockBoots`].
    pub(crate) fn new(
        now: Instant,
        limits: PoolLimits,
        seed: u64,
        boots_blocked: Option<F>,
    ) -> Self {
        debug_assert_eq!(limits.out_of_range(), []);
        let mut pool = PoolState {
            kept_min: limits.min,
            fleet: Fleet::new(limits.slots_per_runner()),
            queue: WaitQueue::default(),
            burst_calls: 0,
            breaker: BootBreaker::new(seed),
            last_failure: None,
            boots_blocked,
            retry: None,
            stage: DrainStage::Open,
            ready_noted: false,
            actions: VecDeque::new(),
            limits,
        };
        pool.settle(now);
        pool
    }

    /// Handles an event. Deadlines that have passed by `now` are handled first.
    pub(crate) fn handle(&mut self, now: Instant, event: Event<F>) {
        self.expire(now);
        match event {
            Event::Checkout { waiter, deadline, bounds_work } => {
                self.checkout(now, waiter, deadline, bounds_work);
            }
            Event::CancelCheckout { waiter } => self.queue.cancel(waiter),
            Event::CheckIn { lease } => self.check_in(lease),
            Event::RunnerUp { runner, expires } => self.runner_up(now, runner, expires),
            Event::BootFailed { runner, failure } => self.boot_failed(now, runner, failure),
            Event::RunnerLost { runner } => self.runner_lost(now, runner),
            Event::ShutdownAnnounced { runner } => self.shutdown_announced(now, runner),
            Event::IdleProposed { runner, idle_for } => self.idle_proposed(runner, idle_for),
            Event::DrainRequested { runner } => self.drain_requested(runner),
            Event::StopRequested { runner } => self.stop_requested(runner),
            Event::RunnerGone { runner } => self.runner_gone(now, runner),
            Event::BurstCalls { calls } => self.burst_calls = calls,
            Event::UnblockBoots => self.boots_blocked = None,
            Event::Resize { change } => self.resize(&change),
            Event::DrainPool => self.drain_pool(),
        }
        self.settle(now);
    }

    /// Leases a slot that is free now, for a call that does not wait for one here. Otherwise as
    /// [`Event::Checkout`]; there are actions to poll in either case.
    pub(crate) fn try_checkout(
        &mut self,
        now: Instant,
        deadline: Option<Instant>,
        bounds_work: bool,
    ) -> Option<(RunnerId, LeaseId)> {
        self.expire(now);
        let is_late = deadline.is_some_and(|deadline| deadline <= now);
        let leased = if self.is_draining() || is_late {
            None
        } else {
            self.kept_min = self.limits.min;
            self.lease_slot(now, deadline.filter(|_| bounds_work))
        };
        self.settle(now);
        leased
    }

    /// The next action to carry out, in order. Poll until `None` after each call that takes `now`.
    pub(crate) fn poll_action(&mut self) -> Option<Action<F>> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. May change with every event.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match (self.queue.next_deadline(), self.retry) {
            (Some(deadline), Some(retry)) => Some(deadline.min(retry)),
            (deadline, retry) => deadline.or(retry),
        }
    }

    /// Handles the passing of time. Harmless when early or late.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
        self.settle(now);
    }

    /// Whether `min` runners are up, in a pool that is not draining.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_draining() && self.fleet.up() >= self.kept_min
    }

    /// Whether the pool was told to drain.
    pub(crate) fn is_draining(&self) -> bool {
        self.stage != DrainStage::Open
    }

    /// Whether the pool was told to drain, and no runner is left, stopped ones included.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_draining() && self.fleet.is_empty()
    }

    /// How soon the pool could serve one more call.
    pub(crate) fn availability(&self, now: Instant) -> SlotAvailability {
        let booting_slots =
            u64::from(self.fleet.booting()) * u64::from(self.limits.slots_per_runner());
        let may_boot = self.boots_blocked.is_none()
            && self.room().min(self.paid_room()) > 0
            && matches!(self.breaker.state(now), BreakerState::Closed | BreakerState::HalfOpen);
        if self.is_draining() {
            SlotAvailability::Full
        } else if self.fleet.free() > 0 {
            SlotAvailability::Now
        } else if booting_slots > self.queue.len() as u64 || may_boot {
            SlotAvailability::AfterBoot
        } else {
            SlotAvailability::Full
        }
    }

    /// The limits that hold now.
    pub(crate) fn limits(&self) -> &PoolLimits {
        &self.limits
    }

    fn checkout(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        deadline: Option<Instant>,
        bounds_work: bool,
    ) {
        if self.queue.contains(waiter) {
            return;
        }
        if self.is_draining() {
            return self.reject(waiter, CheckoutError::Draining);
        }
        if deadline.is_some_and(|deadline| deadline <= now) {
            // The call never waited, so no boot is to blame.
            let (phase, last_failure) = (WaitPhase::Queue, None);
            return self.reject(waiter, CheckoutError::Timeout { phase, last_failure });
        }
        self.kept_min = self.limits.min;
        if self.grant(now, waiter, deadline.filter(|_| bounds_work)) {
            return;
        }
        if let Some(failure) = self.fail_fast_reason(now) {
            return self.reject(waiter, CheckoutError::BootFailed(failure));
        }
        if self.refuses_to_wait() {
            return self.reject(waiter, CheckoutError::OverBudget);
        }
        let limit = self.limits.max_queue;
        if self.queue.len() >= limit {
            return self.reject(waiter, CheckoutError::QueueFull { limit });
        }
        self.queue.push(waiter, deadline, bounds_work);
        self.note(Note::Queued { waiter });
    }

    fn check_in(&mut self, lease: LeaseId) {
        let Some(id) = self.fleet.return_lease(lease) else { return };
        if let Some(runner) = self.fleet.get(id)
            && let RunnerPhase::Retiring(reason) = runner.phase
            && runner.leases == 0
        {
            self.drain_runner(id, reason);
        }
    }

    /// Grants a free slot to `waiter`, whose work completes by `until`; `false` if it must wait.
    fn grant(&mut self, now: Instant, waiter: WaiterId, until: Option<Instant>) -> bool {
        let Some((runner, lease)) = self.lease_slot(now, until) else { return false };
        self.act(Action::Grant { waiter, runner, lease });
        true
    }

    /// Leases a free slot for work that completes by `until`.
    fn lease_slot(&mut self, now: Instant, until: Option<Instant>) -> Option<(RunnerId, LeaseId)> {
        let runner = self.choose_runner(now, until)?;
        let lease = self.fleet.lease(runner)?;
        if self.limits.single_use {
            self.retire(runner, ShrinkReason::SingleUse);
        }
        Some((runner, lease))
    }

    /// Restores the invariants after any change.
    fn settle(&mut self, now: Instant) {
        self.serve(now);
        if !self.queue.is_empty()
            && let Some(failure) = self.fail_fast_reason(now)
        {
            self.reject_all(&CheckoutError::BootFailed(failure));
        }
        self.grow(now);
        self.announce();
    }

    /// Grants free slots to the waiters, in their order.
    fn serve(&mut self, now: Instant) {
        while self.fleet.free() > 0
            && let Some((waiter, until)) = self.queue.first()
            && self.grant(now, waiter, until)
        {
            self.queue.pop();
        }
    }

    fn expire(&mut self, now: Instant) {
        if self.queue.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let phase = self.wait_phase();
        while let Some(waiter) = self.queue.pop_expired(now) {
            let last_failure = self.last_failure.clone();
            self.reject(waiter, CheckoutError::Timeout { phase, last_failure });
        }
    }

    /// Whether the waiters are waiting for a boot or for a slot.
    fn wait_phase(&self) -> WaitPhase {
        let slots = u64::from(self.limits.slots_per_runner());
        let coming = u64::from(self.fleet.booting()) * slots;
        let all_covered = coming > 0 && self.queue.len() as u64 <= coming;
        if self.fleet.up() == 0 || all_covered { WaitPhase::Boot } else { WaitPhase::Queue }
    }

    /// Why a call that has to wait is rejected instead, if it is: no runner would come up for it.
    fn fail_fast_reason(&self, now: Instant) -> Option<F> {
        self.boots_blocked.clone().or_else(|| Some(self.open_breaker(now)?.1))
    }

    /// Until when the breaker is open, and the last failure, if nothing is up or booting.
    fn open_breaker(&self, now: Instant) -> Option<(Instant, F)> {
        let no_runner = self.fleet.up() == 0 && self.fleet.booting() == 0;
        match self.breaker.state(now) {
            BreakerState::Open { until } if no_runner => Some((until, self.last_failure.clone()?)),
            _ => None,
        }
    }

    fn announce(&mut self) {
        if !self.ready_noted && self.is_ready() {
            self.ready_noted = true;
            self.note(Note::Ready);
        }
        if self.stage == DrainStage::Draining && self.fleet.is_empty() {
            self.stage = DrainStage::Drained;
            self.note(Note::Drained);
        }
    }

    fn reject_all(&mut self, error: &CheckoutError<F>) {
        while let Some(waiter) = self.queue.pop() {
            self.reject(waiter, error.clone());
        }
    }

    fn reject(&mut self, waiter: WaiterId, error: CheckoutError<F>) {
        self.act(Action::Reject { waiter, error });
    }

    fn note(&mut self, note: Note<F>) {
        self.act(Action::Note(note));
    }

    fn act(&mut self, action: Action<F>) {
        self.actions.push_back(action);
    }
}
