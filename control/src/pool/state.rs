//! The pool's core: who gets which slot, and how many runners there are.
//!
//! It knows ids and instants, no clock, no socket, no task. The driver feeds it [`Event`]s, carries
//! out the [`Action`]s it polls, and calls [`handle_timeout`](PoolState::handle_timeout) when
//! [`poll_timeout`](PoolState::poll_timeout) is due:
//!
//! ```text
//!   Checkout ─────────────▶ Grant, or Refuse, or a place in the queue (answered later, once)
//!   CheckIn ──────────────▶ Grant to who waits longest
//!   (unmet demand) ───────▶ Boot ──▶ RunnerUp ──▶ Grant ...
//!                                └─▶ BootFailed ──▶ Stop, back-off, Refuse where no hope is left
//!   IdleProposed ─────────▶ StayUp, or DrainRunner ──▶ RunnerGone
//!   RunnerLost ───────────▶ Stop; its leases are void; waiters are served by the next runner
//!   Stop ─────────────────▶ RunnerGone: until then its instance counts against `max`
//! ```
//!
//! Where every boot would be in vain until something else has happened, the pool is barred: it boots
//! nothing, and sends away who would have to wait for a boot, until `Unbar`.
//!
//! Invariants (each a property test in `state/properties.rs`):
//! 1. A runner holds at most `max_concurrency` leases; no boot starts while `max` instances are
//!    held, those on their way out included.
//! 2. Each waiter is answered exactly once, unless it cancels first.
//! 3. Unmet demand implies a boot under way, or `max` reached, or a back-off running, or a bar.
//! 4. A runner that is draining, retiring, spent or lost is never leased, nor one that its platform
//!    ends before the call is over; for a call without a known end see `state/placing.rs`.
//! 5. `min` is kept, with back-off, without blocking anything.
//! 6. Every runner that was booted is seen gone, or stopped.
//!
//! After each call there is no free slot while anyone waits, so a checkout that finds a free slot
//! takes it at once and is never ahead of anyone.

pub(crate) mod event;
pub(crate) mod explain;
pub(crate) mod ids;
pub(crate) mod limits;

mod backoff;
mod fleet;
mod growth;
mod index;
mod placing;
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

pub(crate) use event::{Action, Event, GrowOutcome, Note, Refusal, WaitPhase};
pub use event::{GrowReason, ShrinkReason};
pub use explain::RunnerState;
pub(crate) use explain::{Explanation, Growth, RunnerSnapshot, Snapshot};
pub(crate) use ids::{LeaseId, RunnerId, WaiterId};
pub(crate) use limits::{Backoff, Limits};
pub use limits::{LimitsChange, Placement};

use backoff::{Gate, Ladder};
use fleet::{Fleet, Phase};
use queue::Queue;

/// The pool's state machine. `F` is what a failed boot has to say; it is passed through.
#[derive(Debug)]
pub(crate) struct PoolState<F> {
    limits: Limits,
    /// `min`, less those that were allowed to idle out since the last checkout.
    kept_min: u32,
    fleet: Fleet,
    queue: Queue,
    /// Calls that are served elsewhere for want of a slot.
    elsewhere: u64,
    ladder: Ladder,
    /// The last boot that failed, if none has come up since.
    last_failure: Option<F>,
    /// Why every boot would be in vain, while that is so.
    barred: Option<F>,
    /// When growth that is held back is to be planned anew.
    retry: Option<Instant>,
    stage: Stage,
    /// Whether `Ready` has been noted for the present `min`.
    ready_noted: bool,
    actions: VecDeque<Action<F>>,
}

/// How soon a pool could serve one more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// A slot is free.
    Slot,
    /// A boot that is under way, or would be, has a slot for it.
    Boot,
    /// Others have to end first, or boots to work again.
    Full,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Open,
    Draining,
    Drained,
}

impl<F: Clone> PoolState<F> {
    /// A pool that boots its `min` and `min_free_slots` at once: poll its actions. `seed` is for jitter.
    /// With `barred`, every boot would fail for that reason, until [`Event::Unbar`].
    pub(crate) fn new(now: Instant, limits: Limits, seed: u64, barred: Option<F>) -> Self {
        debug_assert_eq!(limits.out_of_range(), []);
        let mut pool = PoolState {
            kept_min: limits.min,
            fleet: Fleet::new(limits.slots_per_runner()),
            queue: Queue::default(),
            elsewhere: 0,
            ladder: Ladder::new(seed),
            last_failure: None,
            barred,
            retry: None,
            stage: Stage::Open,
            ready_noted: false,
            actions: VecDeque::new(),
            limits,
        };
        pool.settle(now);
        pool
    }

    /// Something has happened. Deadlines that have passed by `now` are dealt with first.
    pub(crate) fn handle(&mut self, now: Instant, event: Event<F>) {
        self.expire(now);
        match event {
            Event::Checkout { waiter, deadline, bounded } => {
                self.checkout(now, waiter, deadline, bounded);
            }
            Event::CancelCheckout { waiter } => self.queue.cancel(waiter),
            Event::CheckIn { lease } => self.check_in(lease),
            Event::RunnerUp { runner, expires } => self.runner_up(now, runner, expires),
            Event::BootFailed { runner, failure } => self.boot_failed(now, runner, failure),
            Event::RunnerLost { runner } => self.runner_lost(now, runner),
            Event::RunnerDraining { runner } => self.runner_draining(now, runner),
            Event::IdleProposed { runner, idle_for } => self.idle_proposed(runner, idle_for),
            Event::RunnerGone { runner } => self.runner_gone(now, runner),
            Event::Elsewhere { calls } => self.elsewhere = calls,
            Event::Unbar => self.barred = None,
            Event::Resize { change } => self.resize(&change),
            Event::Drain => self.drain_pool(),
        }
        self.settle(now);
    }

    /// The next thing to do, in order. Poll until `None` after each call that takes `now`.
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

    /// Time has passed. Harmless when early or late.
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
        self.stage != Stage::Open
    }

    /// Whether the pool was told to drain, and no runner is left, stopped ones included.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_draining() && self.fleet.is_empty()
    }

    /// How soon the pool could serve one more.
    pub(crate) fn room(&self, now: Instant) -> Room {
        let coming = u64::from(self.fleet.booting()) * u64::from(self.limits.slots_per_runner());
        let may_boot = self.barred.is_none()
            && self.fleet.occupied() < self.limits.max
            && matches!(self.ladder.gate(now), Gate::Open | Gate::Trial);
        if self.is_draining() {
            Room::Full
        } else if self.fleet.free() > 0 {
            Room::Slot
        } else if coming > self.queue.len() as u64 || may_boot {
            Room::Boot
        } else {
            Room::Full
        }
    }

    /// What bounds the pool now.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn checkout(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        deadline: Option<Instant>,
        bounded: bool,
    ) {
        if self.queue.contains(waiter) {
            return;
        }
        if self.is_draining() {
            return self.refuse(waiter, Refusal::Draining);
        }
        if deadline.is_some_and(|deadline| deadline <= now) {
            // It never waited, so no boot is to blame.
            let (phase, last_failure) = (WaitPhase::Queue, None);
            return self.refuse(waiter, Refusal::Timeout { phase, last_failure });
        }
        self.kept_min = self.limits.min;
        if self.grant(now, waiter, deadline.filter(|_| bounded)) {
            return;
        }
        if let Some(failure) = self.hopeless(now) {
            return self.refuse(waiter, Refusal::BootFailed(failure));
        }
        let limit = self.limits.max_queue;
        if self.queue.len() >= limit {
            return self.refuse(waiter, Refusal::QueueFull { limit });
        }
        self.queue.push(waiter, deadline, bounded);
        self.note(Note::Queued { waiter });
    }

    fn check_in(&mut self, lease: LeaseId) {
        let Some(id) = self.fleet.give_back(lease) else { return };
        if let Some(runner) = self.fleet.get(id)
            && let Phase::Retiring(reason) = runner.phase
            && runner.leases == 0
        {
            self.drain_runner(id, reason);
        }
    }

    /// Leases a free slot to `waiter`, whose work is over by `until`; `false` if it must wait.
    fn grant(&mut self, now: Instant, waiter: WaiterId, until: Option<Instant>) -> bool {
        let Some(runner) = self.place(now, until) else { return false };
        let Some(lease) = self.fleet.lease(runner) else { return false };
        self.act(Action::Grant { waiter, runner, lease });
        if self.limits.single_use {
            self.retire(runner, ShrinkReason::SingleUse);
        }
        true
    }

    /// Brings the pool to rest after any change.
    fn settle(&mut self, now: Instant) {
        self.serve(now);
        if !self.queue.is_empty()
            && let Some(failure) = self.hopeless(now)
        {
            self.refuse_all(&Refusal::BootFailed(failure));
        }
        self.grow(now);
        self.announce();
    }

    /// Gives free slots to those who wait, in their order.
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
            self.refuse(waiter, Refusal::Timeout { phase, last_failure });
        }
    }

    /// What those who wait are waiting for.
    fn wait_phase(&self) -> WaitPhase {
        let slots = u64::from(self.limits.slots_per_runner());
        let coming = u64::from(self.fleet.booting()) * slots;
        let all_covered = coming > 0 && self.queue.len() as u64 <= coming;
        if self.fleet.up() == 0 || all_covered { WaitPhase::Boot } else { WaitPhase::Queue }
    }

    /// Why waiting is in vain, if it is.
    fn hopeless(&self, now: Instant) -> Option<F> {
        self.barred.clone().or_else(|| Some(self.broken(now)?.1))
    }

    /// Until when waiting is in vain, and why: nothing up, nothing booting, the breaker open.
    fn broken(&self, now: Instant) -> Option<(Instant, F)> {
        let stranded = self.fleet.up() == 0 && self.fleet.booting() == 0;
        match self.ladder.gate(now) {
            Gate::BreakerOpen { until } if stranded => Some((until, self.last_failure.clone()?)),
            _ => None,
        }
    }

    fn announce(&mut self) {
        if !self.ready_noted && self.is_ready() {
            self.ready_noted = true;
            self.note(Note::Ready);
        }
        if self.stage == Stage::Draining && self.fleet.is_empty() {
            self.stage = Stage::Drained;
            self.note(Note::Drained);
        }
    }

    fn refuse_all(&mut self, error: &Refusal<F>) {
        while let Some(waiter) = self.queue.pop() {
            self.refuse(waiter, error.clone());
        }
    }

    fn refuse(&mut self, waiter: WaiterId, error: Refusal<F>) {
        self.act(Action::Refuse { waiter, error });
    }

    fn note(&mut self, note: Note<F>) {
        self.act(Action::Note(note));
    }

    fn act(&mut self, action: Action<F>) {
        self.actions.push_back(action);
    }
}
