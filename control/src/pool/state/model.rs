//! The reference model: what a pool must do, as seen from the outside.
//!
//! The model sees the events and actions that the driver sees, and keeps plain sets without an
//! index, a counter or a cache. It never looks into the pool, except to compare the pool's reports
//! with its own data. Every mistake of the pool is recorded as a [`Violation`] of one of the six
//! invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use super::*;

/// The six invariants of the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Invariant {
    WithinLimits,
    AnsweredOnce,
    GrowthOrReason,
    NeverLeased,
    MinKept,
    NoneForgotten,
}
use Invariant::*;

/// An invariant that was violated, and how.
pub(super) type Violation = (Invariant, String);

/// Identifies a failed boot in a history.
pub(super) type TestFailure = u64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ModelPhase {
    Booting,
    Up,
    /// Busy, above `max`: drains when its last lease has been returned.
    RetiringForResize,
    /// Announced its shutdown, or is wanted to end: drains when its last lease has been returned.
    Retiring,
    /// Told to drain.
    Draining,
    /// Failed, lost or no longer needed: its instance is being killed.
    Stopping,
}

#[derive(Clone, Debug)]
pub(super) struct ModelRunner {
    pub(super) phase: ModelPhase,
    pub(super) leases: BTreeSet<LeaseId>,
    ever_leased: bool,
    up_at: Option<Instant>,
    expires: Option<Instant>,
}

pub(super) struct Model {
    pub(super) now: Instant,
    pub(super) limits: PoolLimits,
    kept_min: u32,
    pub(super) runners: BTreeMap<RunnerId, ModelRunner>,
    /// The waiters in order, with their deadlines.
    pub(super) waiting: Vec<(WaiterId, Option<Instant>)>,
    /// Calls on the burst backend.
    burst_calls: usize,
    /// When the work of each waiter is over, if that is known.
    over_by: BTreeMap<WaiterId, Instant>,
    pub(super) draining: bool,
    /// Every boot would fail.
    boots_blocked: bool,
    drained_noted: u32,
    /// Every runner that was ever booted.
    pub(super) booted: BTreeSet<RunnerId>,
    /// The runners that were reported gone.
    gone: BTreeSet<RunnerId>,
    /// Runners that must be stopped before the pool comes to rest.
    expected_stops: BTreeSet<RunnerId>,
    /// An idle proposal that must be answered before the pool comes to rest.
    proposal: Option<(RunnerId, Duration)>,
    /// The pool may pause its boots until then at most.
    pause_limit: Option<Instant>,
    /// Boots have failed since a runner came up, so the pool may boot one runner at a time.
    on_trial: bool,
    /// What the waiters whose deadline passes now were waiting for.
    phase: WaitPhase,
    newcomer: Option<WaiterId>,
    pub(super) violations: Vec<Violation>,
}

impl Model {
    pub(super) fn new(now: Instant, limits: PoolLimits, boots_blocked: bool) -> Self {
        Model {
            now,
            kept_min: limits.min,
            limits,
            runners: BTreeMap::new(),
            waiting: Vec::new(),
            burst_calls: 0,
            over_by: BTreeMap::new(),
            draining: false,
            boots_blocked,
            drained_noted: 0,
            booted: BTreeSet::new(),
            gone: BTreeSet::new(),
            expected_stops: BTreeSet::new(),
            proposal: None,
            pause_limit: None,
            on_trial: false,
            phase: WaitPhase::Queue,
            newcomer: None,
            violations: Vec::new(),
        }
    }

    pub(super) fn slots(&self) -> usize {
        if self.limits.single_use { 1 } else { self.limits.max_concurrency as usize }
    }

    pub(super) fn count(&self, phase: ModelPhase) -> usize {
        self.runners.values().filter(|runner| runner.phase == phase).count()
    }

    /// Runners that accept calls now, or will once a slot is free: not those that are used up, and
    /// none in a pool that is draining.
    pub(super) fn serving(&self) -> usize {
        let serves =
            |r: &&ModelRunner| r.phase == ModelPhase::Up && !self.is_used_up(r) && !self.draining;
        self.runners.values().filter(serves).count()
    }

    fn is_used_up(&self, runner: &ModelRunner) -> bool {
        self.limits.single_use && runner.ever_leased
    }

    /// The most instances, by `max` and by the budget.
    fn paid_max(&self) -> usize {
        let paid = self.limits.budget.map_or(u32::MAX, |budget| budget.runners);
        self.limits.max.min(paid) as usize
    }

    /// Whether the budget alone forbids another boot.
    fn is_over_budget(&self) -> bool {
        self.runners.len() >= self.paid_max() && self.runners.len() < self.limits.max as usize
    }

    /// Whether this many waiters must not wait, because the budget refuses the last of them.
    fn refuses(&self, waiters: usize) -> bool {
        let slots = self.free() + self.count(ModelPhase::Booting) * self.slots();
        let refuses = self.limits.budget.is_some_and(|budget| budget.refuses);
        refuses && self.is_over_budget() && waiters + self.burst_calls > slots
    }

    fn has_slot(&self, runner: &ModelRunner) -> bool {
        let open = runner.phase == ModelPhase::Up && !self.is_used_up(runner) && !self.draining;
        open && runner.leases.len() < self.slots()
    }

    fn free(&self) -> usize {
        let open = self.runners.values().filter(|runner| self.has_slot(runner));
        open.map(|runner| self.slots() - runner.leases.len()).sum()
    }

    /// Whether slots are missing for waiters and `min_free_slots`, counting those of boots under
    /// way.
    fn is_short(&self) -> bool {
        let wanted = self.waiting.len() + self.burst_calls + self.limits.min_free_slots as usize;
        wanted > self.free() + self.count(ModelPhase::Booting) * self.slots()
    }

    fn is_below_min(&self) -> bool {
        self.serving() + self.count(ModelPhase::Booting) < self.kept_min as usize
    }

    fn violate(&mut self, invariant: Invariant, what: impl Debug) {
        self.violations.push((invariant, format!("{what:?}")));
    }

    fn check(&mut self, invariant: Invariant, holds: bool, what: impl Debug) {
        if !holds {
            self.violate(invariant, what);
        }
    }

    /// Records an event, before the pool handles it.
    pub(super) fn record_event(&mut self, now: Instant, event: Option<&Event<TestFailure>>) {
        self.now = now;
        let coming = self.count(ModelPhase::Booting) * self.slots();
        let covered = coming > 0 && self.waiting.len() <= coming;
        let boot = self.serving() == 0 || covered;
        self.phase = if boot { WaitPhase::Boot } else { WaitPhase::Queue };
        self.newcomer = None;
        match event {
            Some(Event::Checkout { waiter, deadline, bounds_work }) => {
                self.record_checkout(*waiter, *deadline, *bounds_work);
            }
            Some(Event::CancelCheckout { waiter }) => {
                let expired = |at: Option<Instant>| at.is_some_and(|at| at <= now);
                self.waiting.retain(|(w, deadline)| w != waiter || expired(*deadline));
            }
            Some(Event::CheckIn { lease }) => {
                for runner in self.runners.values_mut() {
                    runner.leases.remove(lease);
                }
            }
            Some(Event::RunnerUp { runner, expires }) => self.record_up(*runner, *expires),
            Some(Event::BootFailed { runner, .. }) => {
                let failed =
                    self.phase(*runner) == Some(ModelPhase::Booting) && self.record_stop(*runner);
                self.expected_stops.extend(failed.then_some(*runner));
            }
            Some(Event::RunnerLost { runner }) => {
                let known = self.record_stop(*runner);
                self.expected_stops.extend(known.then_some(*runner));
            }
            Some(Event::DrainRequested { runner }) => match self.phase(*runner) {
                Some(ModelPhase::Booting) => self.expect_stop(*runner),
                Some(ModelPhase::Up | ModelPhase::RetiringForResize) => {
                    self.runners.entry(*runner).and_modify(|r| r.phase = ModelPhase::Retiring);
                }
                _ => {}
            },
            Some(Event::StopRequested { runner }) => self.expect_stop(*runner),
            Some(Event::RunnerGone { runner }) => {
                self.record_stop(*runner);
                let known = self.runners.remove(runner).is_some();
                self.gone.extend(known.then_some(*runner));
            }
            Some(Event::ShutdownAnnounced { runner }) => {
                self.record_unused(*runner);
                if let Some(runner) = self.runners.get_mut(runner)
                    && !matches!(runner.phase, ModelPhase::Draining | ModelPhase::Stopping)
                {
                    runner.phase = ModelPhase::Retiring;
                }
            }
            Some(Event::IdleProposed { runner, idle_for }) => {
                if matches!(
                    self.phase(*runner),
                    Some(ModelPhase::Up | ModelPhase::RetiringForResize | ModelPhase::Retiring)
                ) {
                    self.proposal = Some((*runner, *idle_for));
                }
            }
            Some(Event::BurstCalls { calls }) => self.burst_calls = *calls as usize,
            Some(Event::UnblockBoots) => self.boots_blocked = false,
            Some(Event::Resize { change }) => self.record_resize(change),
            Some(Event::DrainPool) => {
                self.draining = true;
                self.expect_boots_stopped(usize::MAX);
            }
            None => {}
        }
    }

    pub(super) fn phase(&self, runner: RunnerId) -> Option<ModelPhase> {
        self.runners.get(&runner).map(|runner| runner.phase)
    }

    fn record_checkout(&mut self, waiter: WaiterId, deadline: Option<Instant>, bounds_work: bool) {
        if self.waiting.iter().any(|&(w, at)| w == waiter && at.is_none_or(|at| at > self.now)) {
            return;
        }
        self.newcomer = Some(waiter);
        self.waiting.push((waiter, deadline));
        self.over_by.remove(&waiter);
        self.over_by.extend(deadline.filter(|_| bounds_work).map(|over_by| (waiter, over_by)));
        if !self.draining && deadline.is_none_or(|at| at > self.now) {
            self.kept_min = self.limits.min;
        }
    }

    fn record_up(&mut self, id: RunnerId, expires: Option<Instant>) {
        let now = self.now;
        match self.runners.get_mut(&id) {
            Some(runner) if runner.phase == ModelPhase::Booting => {
                runner.expires = expires;
                runner.phase = ModelPhase::Up;
                runner.up_at = Some(now);
                self.on_trial = false;
                let first = now + self.limits.boot_backoff.first;
                self.pause_limit = self.pause_limit.map(|limit| limit.min(first));
            }
            Some(runner) if runner.phase == ModelPhase::Stopping => {
                self.expected_stops.insert(id);
            }
            Some(_) => {}
            None if self.booted.contains(&id) => {
                self.gone.remove(&id);
                self.expected_stops.insert(id);
            }
            None => {}
        }
    }

    /// Stops a runner. Returns whether the runner existed and was not stopped before.
    fn record_stop(&mut self, id: RunnerId) -> bool {
        self.record_unused(id);
        let Some(runner) = self.runners.get_mut(&id) else { return false };
        runner.leases.clear();
        std::mem::replace(&mut runner.phase, ModelPhase::Stopping) != ModelPhase::Stopping
    }

    /// If the runner was never leased, the pool may pause its boots.
    fn record_unused(&mut self, id: RunnerId) {
        let backoff = self.limits.boot_backoff;
        let Some(runner) = self.runners.get(&id) else { return };
        let unused = match runner.phase {
            ModelPhase::Booting => true,
            ModelPhase::Up => {
                !runner.ever_leased && runner.up_at.is_some_and(|up| self.now - up < backoff.max)
            }
            ModelPhase::RetiringForResize
            | ModelPhase::Retiring
            | ModelPhase::Draining
            | ModelPhase::Stopping => false,
        };
        if unused {
            self.on_trial |= runner.phase == ModelPhase::Booting;
            self.pause_limit = Some(self.now + backoff.max.max(backoff.breaker_open));
        }
    }

    fn record_resize(&mut self, change: &LimitsChange) {
        self.limits = self.limits.changed(change);
        self.kept_min = self.limits.min;
        if self.draining {
            return;
        }
        for runner in self.runners.values_mut().filter(|r| r.phase == ModelPhase::RetiringForResize)
        {
            runner.phase = ModelPhase::Up;
        }
        let alive = self.serving() + self.count(ModelPhase::Booting);
        let excess = alive.saturating_sub(self.limits.max as usize);
        let stopped = self.expect_boots_stopped(excess);
        let mut serving: Vec<_> =
            self.runners.iter().filter(|(_, r)| r.phase == ModelPhase::Up).collect();
        serving.retain(|(_, runner)| !self.is_used_up(runner));
        serving.sort_by_key(|(id, runner)| (runner.leases.len(), std::cmp::Reverse(**id)));
        let surplus: Vec<_> =
            serving.into_iter().map(|(&id, _)| id).take(excess - stopped).collect();
        for id in surplus {
            self.runners
                .entry(id)
                .and_modify(|runner| runner.phase = ModelPhase::RetiringForResize);
        }
    }

    /// The latest boots, at most `most`, must be stopped.
    fn expect_boots_stopped(&mut self, most: usize) -> usize {
        let booting = self.runners.iter().filter(|(_, r)| r.phase == ModelPhase::Booting);
        let latest: Vec<_> = booting.map(|(&id, _)| id).rev().take(most).collect();
        latest.iter().for_each(|id| self.expect_stop(*id));
        latest.len()
    }

    /// The runner must be stopped, unless it has been; and no failure is to blame.
    fn expect_stop(&mut self, id: RunnerId) {
        if let Some(runner) = self.runners.get_mut(&id)
            && runner.phase != ModelPhase::Stopping
        {
            runner.leases.clear();
            runner.phase = ModelPhase::Stopping;
            self.expected_stops.insert(id);
        }
    }

    /// Records an action of the pool, and checks that it is allowed.
    pub(super) fn record_action(&mut self, action: &Action<TestFailure>) {
        match action {
            Action::Grant { waiter, runner, lease } => self.record_grant(*waiter, *runner, *lease),
            Action::Reject { waiter, error } => self.record_rejection(*waiter, error),
            Action::Boot { runner } => self.record_boot(*runner),
            Action::Stop { runner } => {
                let owed = self.expected_stops.remove(runner);
                self.check(NoneForgotten, owed, ("stopped without a reason", runner));
                // A runner that came up after it was gone is not reported again.
                self.gone.extend((!self.runners.contains_key(runner)).then_some(*runner));
            }
            Action::DrainRunner { runner } => self.record_drain(*runner),
            Action::StayUp { runner, again_in } => {
                let proposed = self.proposal.take();
                let asked = proposed.is_some_and(|(id, _)| id == *runner);
                self.check(MinKept, asked, ("stay up, unasked", runner));
                self.check(MinKept, !self.may_idle_out(*runner, proposed), ("kept up", runner));
                self.check(MinKept, *again_in != Some(Duration::ZERO), "proposes in a circle");
            }
            Action::Note(Note::Draining { runner, reason: ShrinkReason::Expiring }) => {
                self.record_expiry(*runner);
            }
            Action::Note(Note::Drained) => self.drained_noted += 1,
            Action::Note(Note::Queued { .. }) => {
                let within = self.waiting.len() <= self.limits.max_queue;
                self.check(WithinLimits, within, ("queue too long", self.waiting.len()));
                let refused = self.refuses(self.waiting.len());
                self.check(GrowthOrReason, !refused, "waits, beyond the budget");
            }
            Action::Note(_) => {}
        }
    }

    /// Records the answer to a checkout that does not wait, made under the id of `waiter`.
    pub(super) fn record_try_checkout(
        &mut self,
        waiter: WaiterId,
        leased: Option<(RunnerId, LeaseId)>,
    ) {
        match leased {
            Some((runner, lease)) => self.record_grant(waiter, runner, lease),
            None => {
                let asked = self.waiting.iter().position(|&(w, _)| w == waiter);
                let deadline = asked.and_then(|at| self.waiting.remove(at).1);
                let is_late = deadline.is_some_and(|deadline| deadline <= self.now);
                let free = self.free() > 0 && !self.draining && !is_late;
                self.check(AnsweredOnce, !free, ("a free slot was not leased", waiter));
            }
        }
    }

    fn record_grant(&mut self, waiter: WaiterId, id: RunnerId, lease: LeaseId) {
        let first = self.waiting.first().map(|&(waiter, _)| waiter);
        self.check(AnsweredOnce, first == Some(waiter), ("granted out of turn", waiter, first));
        self.waiting.retain(|&(w, _)| w != waiter);
        let Some(runner) = self.runners.get(&id).cloned() else {
            return self.violate(NeverLeased, ("leased, but not there", id));
        };
        self.check(
            WithinLimits,
            runner.leases.len() < self.slots(),
            ("leased beyond its slots", id),
        );
        self.check(NeverLeased, runner.phase == ModelPhase::Up, ("leased", id, runner.phase));
        self.check(NeverLeased, !self.draining, ("leased by a draining pool", id));
        let suits = match self.over_by.get(&waiter) {
            Some(over_by) => runner.expires.is_none_or(|expires| *over_by <= expires),
            None => self.suits_unbounded(&runner),
        };
        self.check(NeverLeased, suits, ("leased, to be cut off", id, waiter));
        self.check(NeverLeased, !self.is_used_up(&runner), ("leased again, single use", id));
        // Work of unknown length goes to a fresh runner.
        let is_unbounded = !self.over_by.contains_key(&waiter);
        let alike = |other: &&ModelRunner| !is_unbounded || self.is_fresh(other);
        let loads = self.open().filter(alike).map(|runner| runner.leases.len());
        let fitting = match self.limits.placement {
            Placement::Spread => loads.min(),
            Placement::Pack => loads.max(),
        };
        let placed = fitting.is_none_or(|fitting| fitting == runner.leases.len());
        self.check(WithinLimits, placed, ("misplaced", id, fitting));
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.ever_leased = true;
            runner.leases.insert(lease);
        }
    }

    /// Whether work of unknown length may go to this runner: the runner is fresh; or no runner is
    /// fresh, fresh ones can't be booted, and no other runner expires later.
    fn suits_unbounded(&self, runner: &ModelRunner) -> bool {
        let none_fresh = !self.open().any(|other| self.is_fresh(other));
        let longest = self.open().all(|other| other.expires <= runner.expires);
        let paused = self.pause_limit.is_some_and(|limit| self.now < limit) || self.on_trial;
        self.is_fresh(runner) || none_fresh && longest && (paused || !self.has_room_for_fresh())
    }

    /// Whether at least half of its lifetime is left.
    fn is_fresh(&self, runner: &ModelRunner) -> bool {
        let (Some(up), Some(expires)) = (runner.up_at, runner.expires) else { return true };
        expires <= up || (expires > self.now && expires - self.now >= (expires - up) / 2)
    }

    /// Whether every runner with a free slot could be replaced, once those without leases are gone.
    fn has_room_for_fresh(&self) -> bool {
        let busy = self.open().filter(|runner| !runner.leases.is_empty()).count();
        self.runners.len() + busy <= self.paid_max()
    }

    fn open(&self) -> impl Iterator<Item = &ModelRunner> {
        self.runners.values().filter(|runner| self.has_slot(runner))
    }

    /// A runner retires early only for the next waiter, which can't use the runner's free slot.
    fn record_expiry(&mut self, id: RunnerId) {
        let Some(runner) = self.runners.get(&id).cloned() else {
            return self.violate(NeverLeased, ("expires, but not there", id));
        };
        let next = self.waiting.first().map(|&(waiter, _)| waiter);
        let in_the_way = next.is_some_and(|next| match self.over_by.get(&next) {
            Some(over_by) => runner.expires.is_some_and(|expires| *over_by > expires),
            None => !self.open().any(|open| self.is_fresh(open)) && self.has_room_for_fresh(),
        });
        let called_for = in_the_way && self.has_slot(&runner);
        self.check(MinKept, called_for, ("retired before its time", id, next));
        self.record_unused(id);
        self.runners.entry(id).and_modify(|runner| runner.phase = ModelPhase::Retiring);
    }

    fn record_rejection(&mut self, waiter: WaiterId, error: &CheckoutError<TestFailure>) {
        let Some(at) = self.waiting.iter().position(|&(w, _)| w == waiter) else {
            return self.violate(AnsweredOnce, ("rejected, but does not wait", waiter));
        };
        let (_, deadline) = self.waiting.remove(at);
        let newcomer = self.newcomer == Some(waiter);
        let true_enough = match error {
            CheckoutError::QueueFull { limit } => {
                newcomer && *limit == self.limits.max_queue && self.waiting.len() >= *limit
            }
            CheckoutError::OverBudget => newcomer && self.refuses(self.waiting.len() + 1),
            CheckoutError::Draining => self.draining,
            CheckoutError::BootFailed(_) => self.serving() + self.count(ModelPhase::Booting) == 0,
            CheckoutError::Timeout { phase, .. } => {
                let expected = if newcomer { WaitPhase::Queue } else { self.phase };
                *phase == expected && deadline.is_some_and(|deadline| deadline <= self.now)
            }
        };
        self.check(AnsweredOnce, true_enough, ("rejected for no such reason", waiter, error));
    }

    fn record_boot(&mut self, id: RunnerId) {
        let room = self.runners.len() < self.paid_max();
        self.check(WithinLimits, room, ("booted beyond max or the budget", id));
        let asked = !self.draining && (self.is_short() || self.is_below_min());
        self.check(GrowthOrReason, asked, ("booted for nobody", id));
        self.check(GrowthOrReason, !self.boots_blocked, ("booted while boots are blocked", id));
        let fresh = self.booted.insert(id);
        self.check(NoneForgotten, fresh, ("booted twice", id));
        let phase = ModelPhase::Booting;
        let leases = BTreeSet::new();
        let (ever_leased, up_at, expires) = (false, None, None);
        self.runners.insert(id, ModelRunner { phase, leases, ever_leased, up_at, expires });
    }

    fn record_drain(&mut self, id: RunnerId) {
        let Some(runner) = self.runners.get(&id).cloned() else {
            return self.violate(NoneForgotten, ("drained, but not there", id));
        };
        self.check(WithinLimits, runner.leases.is_empty(), ("drained with leases", id));
        let twice = !matches!(
            runner.phase,
            ModelPhase::Up | ModelPhase::RetiringForResize | ModelPhase::Retiring
        );
        self.check(NoneForgotten, !twice, ("drained", id, runner.phase));
        let proposed = self.proposal.take_if(|(proposer, _)| *proposer == id);
        let leaves = matches!(runner.phase, ModelPhase::RetiringForResize | ModelPhase::Retiring);
        let due = self.draining || self.is_used_up(&runner) || leaves;
        let allowed = due || self.may_idle_out(id, proposed);
        self.check(MinKept, allowed, ("drained for no reason", id));
        self.runners.entry(id).and_modify(|runner| runner.phase = ModelPhase::Draining);
        if !due {
            let left = self.serving() + self.count(ModelPhase::Booting);
            self.kept_min = self.kept_min.min(u32::try_from(left).unwrap_or(u32::MAX));
        }
    }

    fn may_idle_out(&self, id: RunnerId, proposed: Option<(RunnerId, Duration)>) -> bool {
        let (Some(runner), Some((_, idle_for))) = (self.runners.get(&id), proposed) else {
            return false;
        };
        let long_enough = self.limits.min_idle_shutdown_after.is_some_and(|at| idle_for >= at);
        let kept = self.serving() > self.kept_min as usize || long_enough;
        let wanted = self.limits.min_free_slots as usize + self.burst_calls;
        let spared = self.free() >= wanted + self.slots();
        runner.phase == ModelPhase::Up && runner.leases.is_empty() && kept && spared
    }

    /// Checks what must hold when the pool has no more actions.
    pub(super) fn check_at_rest(&mut self, pool: &PoolState<TestFailure>) {
        let now = self.now;
        let (expired, rest): (Vec<_>, Vec<_>) =
            self.waiting.iter().partition(|(_, deadline)| deadline.is_some_and(|at| at <= now));
        self.check(AnsweredOnce, expired.is_empty(), ("past their deadlines", &expired));
        let should_not_wait = self.draining || self.boots_blocked || self.free() > 0;
        let waits_for_nothing = !rest.is_empty() && should_not_wait;
        self.check(AnsweredOnce, !waits_for_nothing, ("not answered", &rest));
        let first = rest.iter().filter_map(|(_, deadline)| *deadline).min();
        let timely = first.is_none_or(|at| pool.poll_timeout().is_some_and(|timer| timer <= at));
        self.check(AnsweredOnce, timely, ("the timer is late", first, pool.poll_timeout()));
        let ahead = pool.poll_timeout().is_none_or(|timer| timer > now);
        self.check(AnsweredOnce, ahead, "the timer is due at rest");

        let (serving, booting) = (self.serving(), self.count(ModelPhase::Booting));
        let max = self.limits.max as usize;
        self.check(WithinLimits, serving + booting <= max, ("beyond max", serving, booting));
        self.check(
            NoneForgotten,
            self.expected_stops.is_empty(),
            ("unstopped", self.expected_stops.clone()),
        );
        self.check(MinKept, self.proposal.is_none(), ("unanswered", self.proposal));
        let untold = self.runners.values().any(|runner| {
            let leaves =
                matches!(runner.phase, ModelPhase::RetiringForResize | ModelPhase::Retiring);
            let done = leaves || self.draining || self.is_used_up(runner);
            let told = matches!(runner.phase, ModelPhase::Draining | ModelPhase::Stopping);
            done && !told && runner.leases.is_empty()
        });
        self.check(NoneForgotten, !untold, "a runner that is to drain was not told");
        self.check_growth(pool);

        let ready = !self.draining && serving >= self.kept_min as usize;
        self.check(MinKept, pool.is_ready() == ready, ("ready", pool.is_ready(), ready));
        let drained = self.draining && self.runners.is_empty();
        self.check(NoneForgotten, pool.is_drained() == drained, ("drained", pool.is_drained()));
        let noted = self.drained_noted == u32::from(drained);
        self.check(NoneForgotten, noted, ("drained was noted", self.drained_noted));
        self.check_snapshot(&pool.snapshot());
    }

    /// With unmet demand, or fewer than `min` runners, a boot is under way or there is a reason why
    /// not; and the pool reports it.
    fn check_growth(&mut self, pool: &PoolState<TestFailure>) {
        let growth = pool.explain(self.now).growth;
        let booting = self.count(ModelPhase::Booting) > 0;
        let full = self.runners.len() >= self.limits.max as usize;
        let over_budget = self.is_over_budget();
        let paused = self.pause_limit.filter(|&limit| self.now < limit);
        let timer = pool.poll_timeout();
        let resumes = paused.is_some_and(|limit| timer.is_some_and(|timer| timer <= limit));
        let wanted = self.is_short() || self.is_below_min();
        let honest = match growth {
            Growth::Draining => self.draining,
            Growth::Blocked { .. } => self.boots_blocked,
            Growth::NoUnmetDemand => !wanted && !booting && !self.boots_blocked,
            Growth::BootsUnderWay => booting && (!wanted || self.on_trial),
            Growth::MaxReached => wanted && full && !self.boots_blocked,
            Growth::OverBudget { .. } => wanted && over_budget && !self.boots_blocked,
            // Calls that need a runner are rejected.
            Growth::BreakerOpen { .. } if !wanted => {
                self.serving() == 0 && !booting && paused.is_some()
            }
            Growth::BackingOff { .. } | Growth::BreakerOpen { .. } => {
                wanted && !full && !over_budget && resumes
            }
            Growth::Due { .. } => false,
        };
        let about = if self.is_below_min() { MinKept } else { GrowthOrReason };
        let seen = (wanted, booting, full, paused, timer);
        self.check(about, honest, ("growth is not so", growth, seen));
    }

    fn check_snapshot(&mut self, snapshot: &StateSnapshot) {
        let told: BTreeMap<_, _> = snapshot.runners.iter().map(|r| (r.id, r.leases)).collect();
        let known = self.runners.iter().map(|(&id, r)| (id, r.leases.len() as u32)).collect();
        self.check(NoneForgotten, told == known, ("snapshot", &told, &known));
        let leased: usize = self.runners.values().map(|runner| runner.leases.len()).sum();
        self.check(NoneForgotten, snapshot.leased == leased, ("leases", snapshot.leased, leased));
        let free = snapshot.free == self.free() as u64;
        self.check(WithinLimits, free, ("free slots", snapshot.free, self.free()));
        self.check(
            AnsweredOnce,
            snapshot.queued == self.waiting.len(),
            ("queued", snapshot.queued),
        );
    }

    /// Checks what must hold when the pool has drained and all runners are gone.
    pub(super) fn check_at_end(&mut self) {
        let forgotten: Vec<_> = self.booted.difference(&self.gone).copied().collect();
        self.check(NoneForgotten, forgotten.is_empty(), ("forgotten", &forgotten));
        let unanswered = self.waiting.clone();
        self.check(AnsweredOnce, unanswered.is_empty(), ("never answered", &unanswered));
        self.check(NoneForgotten, self.drained_noted == 1, "never drained");
    }
}
