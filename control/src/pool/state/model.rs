//! The reference: what a pool owes the world, kept from the outside.
//!
//! The model sees what the driver sees, events and actions, and keeps plain sets with no index, no
//! counter and no cache. It never looks into the pool, except to compare what the pool says of
//! itself with what the model knows. Whatever the pool does wrong is written down as a [`Fault`]
//! against one of the six invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use super::*;

/// The six promises of the pool.
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

/// A broken promise.
pub(super) type Fault = (Invariant, String);

/// What the failed boots of the histories say.
pub(super) type Failure = u64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Booting,
    Up,
    /// Busy, over `max`: to drain with its last lease.
    Surplus,
    /// Announced its end: to drain with its last lease.
    Leaving,
    /// Told to drain.
    Ending,
    /// Failed, lost or not wanted: stopped, and not gone yet.
    Stopping,
}

#[derive(Clone, Debug)]
pub(super) struct ModelRunner {
    pub(super) life: Life,
    pub(super) leases: BTreeSet<LeaseId>,
    ever_leased: bool,
    up_at: Option<Instant>,
    expires: Option<Instant>,
}

pub(super) struct Model {
    pub(super) now: Instant,
    pub(super) limits: Limits,
    kept_min: u32,
    pub(super) runners: BTreeMap<RunnerId, ModelRunner>,
    /// Who waits, in order, until when.
    pub(super) waiting: Vec<(WaiterId, Option<Instant>)>,
    /// Calls that are served elsewhere.
    elsewhere: usize,
    /// When the works of those who wait are over.
    over_by: BTreeMap<WaiterId, Instant>,
    pub(super) draining: bool,
    /// Boots are in vain.
    barred: bool,
    drained_noted: u32,
    /// Every runner ever booted.
    pub(super) booted: BTreeSet<RunnerId>,
    /// Those seen gone.
    ended: BTreeSet<RunnerId>,
    /// Those that must be stopped before the pool comes to rest.
    owed_stops: BTreeSet<RunnerId>,
    /// An idle proposal that must be answered before the pool comes to rest.
    proposal: Option<(RunnerId, Duration)>,
    /// No back-off that is legitimate now lasts longer than this.
    pause_limit: Option<Instant>,
    /// Boots have failed since one came up: the pool may try one at a time.
    on_trial: bool,
    /// The phase that those whose deadline passes now were in.
    phase: WaitPhase,
    newcomer: Option<WaiterId>,
    pub(super) faults: Vec<Fault>,
}

impl Model {
    pub(super) fn new(now: Instant, limits: Limits, barred: bool) -> Self {
        Model {
            now,
            kept_min: limits.min,
            limits,
            runners: BTreeMap::new(),
            waiting: Vec::new(),
            elsewhere: 0,
            over_by: BTreeMap::new(),
            draining: false,
            barred,
            drained_noted: 0,
            booted: BTreeSet::new(),
            ended: BTreeSet::new(),
            owed_stops: BTreeSet::new(),
            proposal: None,
            pause_limit: None,
            on_trial: false,
            phase: WaitPhase::Queue,
            newcomer: None,
            faults: Vec::new(),
        }
    }

    pub(super) fn slots(&self) -> usize {
        if self.limits.single_use { 1 } else { self.limits.max_concurrency as usize }
    }

    pub(super) fn count(&self, life: Life) -> usize {
        self.runners.values().filter(|runner| runner.life == life).count()
    }

    /// Runners that serve more callers, now or later; spent ones and a draining pool's do not.
    pub(super) fn serving(&self) -> usize {
        let serves = |r: &&ModelRunner| r.life == Life::Up && !self.is_spent(r) && !self.draining;
        self.runners.values().filter(serves).count()
    }

    fn is_spent(&self, runner: &ModelRunner) -> bool {
        self.limits.single_use && runner.ever_leased
    }

    fn has_slot(&self, runner: &ModelRunner) -> bool {
        let open = runner.life == Life::Up && !self.is_spent(runner) && !self.draining;
        open && runner.leases.len() < self.slots()
    }

    fn free(&self) -> usize {
        let open = self.runners.values().filter(|runner| self.has_slot(runner));
        open.map(|runner| self.slots() - runner.leases.len()).sum()
    }

    /// Whether slots are missing for waiters and spare, boots under way counted in.
    fn is_short(&self) -> bool {
        let wanted = self.waiting.len() + self.elsewhere + self.limits.min_free_slots as usize;
        wanted > self.free() + self.count(Life::Booting) * self.slots()
    }

    fn is_beneath_min(&self) -> bool {
        self.serving() + self.count(Life::Booting) < self.kept_min as usize
    }

    fn fault(&mut self, invariant: Invariant, what: impl Debug) {
        self.faults.push((invariant, format!("{what:?}")));
    }

    fn check(&mut self, invariant: Invariant, holds: bool, what: impl Debug) {
        if !holds {
            self.fault(invariant, what);
        }
    }

    /// Takes in what happens, before the pool answers.
    pub(super) fn before(&mut self, now: Instant, event: Option<&Event<Failure>>) {
        self.now = now;
        let coming = self.count(Life::Booting) * self.slots();
        let covered = coming > 0 && self.waiting.len() <= coming;
        let boot = self.serving() == 0 || covered;
        self.phase = if boot { WaitPhase::Boot } else { WaitPhase::Queue };
        self.newcomer = None;
        match event {
            Some(Event::Checkout { waiter, deadline, bounded }) => {
                self.comes(*waiter, *deadline, *bounded);
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
            Some(Event::RunnerUp { runner, expires }) => self.comes_up(*runner, *expires),
            Some(Event::BootFailed { runner, .. }) => {
                let failed = self.life(*runner) == Some(Life::Booting) && self.leaves(*runner);
                self.owed_stops.extend(failed.then_some(*runner));
            }
            Some(Event::RunnerLost { runner }) => {
                let known = self.leaves(*runner);
                self.owed_stops.extend(known.then_some(*runner));
            }
            Some(Event::RunnerGone { runner }) => {
                self.leaves(*runner);
                let known = self.runners.remove(runner).is_some();
                self.ended.extend(known.then_some(*runner));
            }
            Some(Event::RunnerDraining { runner }) => {
                self.minds_end_of(*runner);
                if let Some(runner) = self.runners.get_mut(runner)
                    && !matches!(runner.life, Life::Ending | Life::Stopping)
                {
                    runner.life = Life::Leaving;
                }
            }
            Some(Event::IdleProposed { runner, idle_for }) => {
                if matches!(self.life(*runner), Some(Life::Up | Life::Surplus | Life::Leaving)) {
                    self.proposal = Some((*runner, *idle_for));
                }
            }
            Some(Event::Elsewhere { calls }) => self.elsewhere = *calls as usize,
            Some(Event::Unbar) => self.barred = false,
            Some(Event::Resize { change }) => self.resizes(change),
            Some(Event::Drain) => {
                self.draining = true;
                self.owes_boots(usize::MAX);
            }
            None => {}
        }
    }

    pub(super) fn life(&self, runner: RunnerId) -> Option<Life> {
        self.runners.get(&runner).map(|runner| runner.life)
    }

    fn comes(&mut self, waiter: WaiterId, deadline: Option<Instant>, bounded: bool) {
        if self.waiting.iter().any(|&(w, at)| w == waiter && at.is_none_or(|at| at > self.now)) {
            return;
        }
        self.newcomer = Some(waiter);
        self.waiting.push((waiter, deadline));
        self.over_by.remove(&waiter);
        self.over_by.extend(deadline.filter(|_| bounded).map(|over_by| (waiter, over_by)));
        if !self.draining && deadline.is_none_or(|at| at > self.now) {
            self.kept_min = self.limits.min;
        }
    }

    fn comes_up(&mut self, id: RunnerId, expires: Option<Instant>) {
        let now = self.now;
        match self.runners.get_mut(&id) {
            Some(runner) if runner.life == Life::Booting => {
                runner.expires = expires;
                runner.life = Life::Up;
                runner.up_at = Some(now);
                self.on_trial = false;
                let first = now + self.limits.boot_backoff.first;
                self.pause_limit = self.pause_limit.map(|limit| limit.min(first));
            }
            Some(runner) if runner.life == Life::Stopping => {
                self.owed_stops.insert(id);
            }
            Some(_) => {}
            None if self.booted.contains(&id) => {
                self.ended.remove(&id);
                self.owed_stops.insert(id);
            }
            None => {}
        }
    }

    /// It is of no use any more. Whether there was such a runner.
    fn leaves(&mut self, id: RunnerId) -> bool {
        self.minds_end_of(id);
        let Some(runner) = self.runners.get_mut(&id) else { return false };
        runner.leases.clear();
        std::mem::replace(&mut runner.life, Life::Stopping) != Life::Stopping
    }

    /// An end that entitles the pool to pause its boots.
    fn minds_end_of(&mut self, id: RunnerId) {
        let backoff = self.limits.boot_backoff;
        let Some(runner) = self.runners.get(&id) else { return };
        let stillborn = match runner.life {
            Life::Booting => true,
            Life::Up => {
                !runner.ever_leased && runner.up_at.is_some_and(|up| self.now - up < backoff.max)
            }
            Life::Surplus | Life::Leaving | Life::Ending | Life::Stopping => false,
        };
        if stillborn {
            self.on_trial |= runner.life == Life::Booting;
            self.pause_limit = Some(self.now + backoff.max.max(backoff.breaker_open));
        }
    }

    fn resizes(&mut self, change: &LimitsChange) {
        self.limits = self.limits.changed(change);
        self.kept_min = self.limits.min;
        if self.draining {
            return;
        }
        for runner in self.runners.values_mut().filter(|r| r.life == Life::Surplus) {
            runner.life = Life::Up;
        }
        let alive = self.serving() + self.count(Life::Booting);
        let excess = alive.saturating_sub(self.limits.max as usize);
        let stopped = self.owes_boots(excess);
        let mut serving: Vec<_> = self.runners.iter().filter(|(_, r)| r.life == Life::Up).collect();
        serving.retain(|(_, runner)| !self.is_spent(runner));
        serving.sort_by_key(|(id, runner)| (runner.leases.len(), std::cmp::Reverse(**id)));
        let surplus: Vec<_> =
            serving.into_iter().map(|(&id, _)| id).take(excess - stopped).collect();
        for id in surplus {
            self.runners.entry(id).and_modify(|runner| runner.life = Life::Surplus);
        }
    }

    /// The latest boots, at most that many, are to be stopped.
    fn owes_boots(&mut self, most: usize) -> usize {
        let booting = self.runners.iter().filter(|(_, r)| r.life == Life::Booting);
        let latest: Vec<_> = booting.map(|(&id, _)| id).rev().take(most).collect();
        for id in &latest {
            self.runners.entry(*id).and_modify(|runner| runner.life = Life::Stopping);
            self.owed_stops.insert(*id);
        }
        latest.len()
    }

    /// Takes in what the pool asks for, and whether it may.
    pub(super) fn sees(&mut self, action: &Action<Failure>) {
        match action {
            Action::Grant { waiter, runner, lease } => self.sees_grant(*waiter, *runner, *lease),
            Action::Refuse { waiter, error } => self.sees_refusal(*waiter, error),
            Action::Boot { runner } => self.sees_boot(*runner),
            Action::Stop { runner } => {
                let owed = self.owed_stops.remove(runner);
                self.check(NoneForgotten, owed, ("stopped without a reason", runner));
                // One that came up after it was gone is not heard of again.
                self.ended.extend((!self.runners.contains_key(runner)).then_some(*runner));
            }
            Action::DrainRunner { runner } => self.sees_drain(*runner),
            Action::StayUp { runner, again_in } => {
                let proposed = self.proposal.take();
                let asked = proposed.is_some_and(|(id, _)| id == *runner);
                self.check(MinKept, asked, ("stay up, unasked", runner));
                self.check(MinKept, !self.may_idle_out(*runner, proposed), ("kept up", runner));
                self.check(MinKept, *again_in != Some(Duration::ZERO), "proposes in a circle");
            }
            Action::Note(Note::Draining { runner, reason: ShrinkReason::Expiring }) => {
                self.sees_expiry(*runner);
            }
            Action::Note(Note::Drained) => self.drained_noted += 1,
            Action::Note(Note::Queued { .. }) => {
                let within = self.waiting.len() <= self.limits.max_queue;
                self.check(WithinLimits, within, ("queue too long", self.waiting.len()));
            }
            Action::Note(_) => {}
        }
    }

    fn sees_grant(&mut self, waiter: WaiterId, id: RunnerId, lease: LeaseId) {
        let first = self.waiting.first().map(|&(waiter, _)| waiter);
        self.check(AnsweredOnce, first == Some(waiter), ("granted out of turn", waiter, first));
        self.waiting.retain(|&(w, _)| w != waiter);
        let Some(runner) = self.runners.get(&id).cloned() else {
            return self.fault(NeverLeased, ("leased, but not there", id));
        };
        self.check(
            WithinLimits,
            runner.leases.len() < self.slots(),
            ("leased beyond its slots", id),
        );
        self.check(NeverLeased, runner.life == Life::Up, ("leased", id, runner.life));
        self.check(NeverLeased, !self.draining, ("leased by a draining pool", id));
        let suits = match self.over_by.get(&waiter) {
            Some(over_by) => runner.expires.is_none_or(|expires| *over_by <= expires),
            None => self.suits_endless(&runner),
        };
        self.check(NeverLeased, suits, ("leased, to be cut off", id, waiter));
        self.check(NeverLeased, !self.is_spent(&runner), ("leased again, single use", id));
        // Among those that are fresh, if it matters.
        let endless = !self.over_by.contains_key(&waiter);
        let alike = |other: &&ModelRunner| !endless || self.is_fresh(other);
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

    /// Whether work without a known end may go to this runner: it is fresh; or none is, and either
    /// there is no room for fresh ones or boots fail, and no other one lasts longer.
    fn suits_endless(&self, runner: &ModelRunner) -> bool {
        let none_fresh = !self.open().any(|other| self.is_fresh(other));
        let longest = self.open().all(|other| other.expires <= runner.expires);
        let paused = self.pause_limit.is_some_and(|limit| self.now < limit) || self.on_trial;
        self.is_fresh(runner) || none_fresh && longest && (paused || !self.has_room_for_fresh())
    }

    /// Whether at least half of its life is left.
    fn is_fresh(&self, runner: &ModelRunner) -> bool {
        let (Some(up), Some(expires)) = (runner.up_at, runner.expires) else { return true };
        expires <= up || (expires > self.now && expires - self.now >= (expires - up) / 2)
    }

    /// Whether as many could be booted as have free slots, were those that are empty gone.
    fn has_room_for_fresh(&self) -> bool {
        let busy = self.open().filter(|runner| !runner.leases.is_empty()).count();
        self.runners.len() + busy <= self.limits.max as usize
    }

    fn open(&self) -> impl Iterator<Item = &ModelRunner> {
        self.runners.values().filter(|runner| self.has_slot(runner))
    }

    /// A runner retires early only for whoever is next, and has a slot that is of no use to them.
    fn sees_expiry(&mut self, id: RunnerId) {
        let Some(runner) = self.runners.get(&id).cloned() else {
            return self.fault(NeverLeased, ("expires, but not there", id));
        };
        let next = self.waiting.first().map(|&(waiter, _)| waiter);
        let in_the_way = next.is_some_and(|next| match self.over_by.get(&next) {
            Some(over_by) => runner.expires.is_some_and(|expires| *over_by > expires),
            None => !self.open().any(|open| self.is_fresh(open)) && self.has_room_for_fresh(),
        });
        let called_for = in_the_way && self.has_slot(&runner);
        self.check(MinKept, called_for, ("retired before its time", id, next));
        self.minds_end_of(id);
        self.runners.entry(id).and_modify(|runner| runner.life = Life::Leaving);
    }

    fn sees_refusal(&mut self, waiter: WaiterId, error: &Refusal<Failure>) {
        let Some(at) = self.waiting.iter().position(|&(w, _)| w == waiter) else {
            return self.fault(AnsweredOnce, ("refused, but does not wait", waiter));
        };
        let (_, deadline) = self.waiting.remove(at);
        let newcomer = self.newcomer == Some(waiter);
        let true_enough = match error {
            Refusal::QueueFull { limit } => {
                newcomer && *limit == self.limits.max_queue && self.waiting.len() >= *limit
            }
            Refusal::Draining => self.draining,
            Refusal::BootFailed(_) => self.serving() + self.count(Life::Booting) == 0,
            Refusal::Timeout { phase, .. } => {
                let expected = if newcomer { WaitPhase::Queue } else { self.phase };
                *phase == expected && deadline.is_some_and(|deadline| deadline <= self.now)
            }
        };
        self.check(AnsweredOnce, true_enough, ("refused for no such reason", waiter, error));
    }

    fn sees_boot(&mut self, id: RunnerId) {
        let room = self.runners.len() < self.limits.max as usize;
        self.check(WithinLimits, room, ("booted beyond max", id));
        let asked = !self.draining && (self.is_short() || self.is_beneath_min());
        self.check(GrowthOrReason, asked, ("booted for nobody", id));
        self.check(GrowthOrReason, !self.barred, ("booted in vain", id));
        let fresh = self.booted.insert(id);
        self.check(NoneForgotten, fresh, ("booted twice", id));
        let life = Life::Booting;
        let leases = BTreeSet::new();
        let (ever_leased, up_at, expires) = (false, None, None);
        self.runners.insert(id, ModelRunner { life, leases, ever_leased, up_at, expires });
    }

    fn sees_drain(&mut self, id: RunnerId) {
        let Some(runner) = self.runners.get(&id).cloned() else {
            return self.fault(NoneForgotten, ("drained, but not there", id));
        };
        self.check(WithinLimits, runner.leases.is_empty(), ("drained with leases", id));
        let twice = !matches!(runner.life, Life::Up | Life::Surplus | Life::Leaving);
        self.check(NoneForgotten, !twice, ("drained", id, runner.life));
        let proposed = self.proposal.take_if(|(proposer, _)| *proposer == id);
        let leaves = matches!(runner.life, Life::Surplus | Life::Leaving);
        let due = self.draining || self.is_spent(&runner) || leaves;
        let allowed = due || self.may_idle_out(id, proposed);
        self.check(MinKept, allowed, ("drained for no reason", id));
        self.runners.entry(id).and_modify(|runner| runner.life = Life::Ending);
        if !due {
            let left = self.serving() + self.count(Life::Booting);
            self.kept_min = self.kept_min.min(u32::try_from(left).unwrap_or(u32::MAX));
        }
    }

    fn may_idle_out(&self, id: RunnerId, proposed: Option<(RunnerId, Duration)>) -> bool {
        let (Some(runner), Some((_, idle_for))) = (self.runners.get(&id), proposed) else {
            return false;
        };
        let long_enough = self.limits.min_idle_shutdown_after.is_some_and(|at| idle_for >= at);
        let kept = self.serving() > self.kept_min as usize || long_enough;
        let wanted = self.limits.min_free_slots as usize + self.elsewhere;
        let spared = self.free() >= wanted + self.slots();
        runner.life == Life::Up && runner.leases.is_empty() && kept && spared
    }

    /// What must hold whenever the pool has nothing more to say.
    pub(super) fn rests(&mut self, pool: &PoolState<Failure>) {
        let now = self.now;
        let (expired, rest): (Vec<_>, Vec<_>) =
            self.waiting.iter().partition(|(_, deadline)| deadline.is_some_and(|at| at <= now));
        self.check(AnsweredOnce, expired.is_empty(), ("past their deadlines", &expired));
        let in_vain = self.draining || self.barred || self.free() > 0;
        let waits_in_vain = !rest.is_empty() && in_vain;
        self.check(AnsweredOnce, !waits_in_vain, ("not answered", &rest));
        let first = rest.iter().filter_map(|(_, deadline)| *deadline).min();
        let timely = first.is_none_or(|at| pool.poll_timeout().is_some_and(|timer| timer <= at));
        self.check(AnsweredOnce, timely, ("the timer is late", first, pool.poll_timeout()));
        let ahead = pool.poll_timeout().is_none_or(|timer| timer > now);
        self.check(AnsweredOnce, ahead, "the timer is due at rest");

        let (serving, booting) = (self.serving(), self.count(Life::Booting));
        let max = self.limits.max as usize;
        self.check(WithinLimits, serving + booting <= max, ("beyond max", serving, booting));
        self.check(
            NoneForgotten,
            self.owed_stops.is_empty(),
            ("unstopped", self.owed_stops.clone()),
        );
        self.check(MinKept, self.proposal.is_none(), ("unanswered", self.proposal));
        let untold = self.runners.values().any(|runner| {
            let done = runner.life == Life::Surplus || self.draining || self.is_spent(runner);
            let told = matches!(runner.life, Life::Ending | Life::Stopping);
            done && !told && runner.leases.is_empty()
        });
        self.check(NoneForgotten, !untold, "a runner that is to drain was not told");
        self.rests_in_growth(pool);

        let ready = !self.draining && serving >= self.kept_min as usize;
        self.check(MinKept, pool.is_ready() == ready, ("ready", pool.is_ready(), ready));
        let gone = self.draining && self.runners.is_empty();
        self.check(NoneForgotten, pool.is_drained() == gone, ("drained", pool.is_drained()));
        let noted = self.drained_noted == u32::from(gone);
        self.check(NoneForgotten, noted, ("drained was noted", self.drained_noted));
        self.agrees_with(&pool.snapshot());
    }

    /// Unmet demand, or a `min` not kept, has a boot under way or a reason, and the pool says so.
    fn rests_in_growth(&mut self, pool: &PoolState<Failure>) {
        let growth = pool.explain(self.now).growth;
        let booting = self.count(Life::Booting) > 0;
        let full = self.runners.len() >= self.limits.max as usize;
        let paused = self.pause_limit.filter(|&limit| self.now < limit);
        let timer = pool.poll_timeout();
        let resumes = paused.is_some_and(|limit| timer.is_some_and(|timer| timer <= limit));
        let wanted = self.is_short() || self.is_beneath_min();
        let honest = match growth {
            Growth::Draining => self.draining,
            Growth::Barred { .. } => self.barred,
            Growth::NoUnmetDemand => !wanted && !booting && !self.barred,
            Growth::BootsUnderWay => booting && (!wanted || self.on_trial),
            Growth::MaxReached => wanted && full && !self.barred,
            // Whoever would want a runner is sent away.
            Growth::BreakerOpen { .. } if !wanted => {
                self.serving() == 0 && !booting && paused.is_some()
            }
            Growth::BackingOff { .. } | Growth::BreakerOpen { .. } => wanted && !full && resumes,
            Growth::Due { .. } => false,
        };
        let about = if self.is_beneath_min() { MinKept } else { GrowthOrReason };
        let seen = (wanted, booting, full, paused, timer);
        self.check(about, honest, ("growth is not so", growth, seen));
    }

    fn agrees_with(&mut self, snapshot: &Snapshot) {
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

    /// What must hold when the pool has been drained and the world has played along.
    pub(super) fn ends(&mut self) {
        let forgotten: Vec<_> = self.booted.difference(&self.ended).copied().collect();
        self.check(NoneForgotten, forgotten.is_empty(), ("forgotten", &forgotten));
        let unanswered = self.waiting.clone();
        self.check(AnsweredOnce, unanswered.is_empty(), ("never answered", &unanswered));
        self.check(NoneForgotten, self.drained_noted == 1, "never drained");
    }
}
