//! The reference model: the duties of a pool, as seen from the outside.
//!
//! The model sees the events and actions that the driver sees, and keeps plain sets without an
//! index, a counter or a cache. It never looks into the pool, except to compare the pool's reports
//! with its own data. Every mistake of the pool is recorded as a [`Violation`] of one of the six
//! invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use super::*;

mod actions;
mod events;
mod rest;

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

    pub(super) fn phase(&self, runner: RunnerId) -> Option<ModelPhase> {
        self.runners.get(&runner).map(|runner| runner.phase)
    }
}
