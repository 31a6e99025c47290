//! The runners and their leases.
//!
//! Each way in which a runner stops serving has one word, in all files of the state machine:
//!
//! - it *retires*: it gets no more leases, and keeps those that it holds;
//! - it *drains*: it holds no lease, and has been told to shut down;
//! - it *is lost*: its link was not resumed in time, or its instance died;
//! - it *is stopped*: the pool has told the backend to kill its instance;
//! - it *expires*: its platform's time limit is reached;
//! - it is *gone*: [`Event::RunnerGone`](super::Event::RunnerGone) has said that nothing is left.
//!
//! ```text
//!   Booting ──▶ Up ──▶ Retiring ──▶ Draining ──▶ (gone)
//!      │         └──────────────────▶┘  ▲
//!      └────────────────────────────────┘ (announced its shutdown before it came up)
//!
//!   any of these ──▶ Stopping ──▶ (gone)       (failed, lost, or no longer needed)
//! ```
//!
//! Invariants: a runner is in the index exactly when it is `Up` and has a free slot, so no other
//! runner can be leased; the counters match the phases; a lease is in the map exactly while its
//! runner counts it. Every change of a phase or of a load goes through this module.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::event::ShrinkReason;
use super::ids::{LeaseId, RunnerId};
use super::index::LoadIndex;
use super::limits::Placement;

/// The phase of a runner's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RunnerPhase {
    /// Requested from the backend, and not connected yet.
    Booting,
    /// Can be leased while it has a free slot.
    Up,
    /// Gets no more leases; drains when its last lease has been returned.
    Retiring(ShrinkReason),
    /// Has been told to shut down.
    Draining(ShrinkReason),
    /// The backend has been told to kill its instance, which may take a while.
    Stopping,
}

/// One runner.
#[derive(Clone, Copy, Debug)]
pub(super) struct FleetRunner {
    pub(super) phase: RunnerPhase,
    /// When its boot began.
    pub(super) boot_began: Instant,
    /// Leases that it holds now.
    pub(super) leases: u32,
    /// Leases that have been returned.
    pub(super) returned: u64,
    /// Failed boots in a row when its own boot started.
    pub(super) failures_before: u32,
    /// When it expires; `None` means never.
    expires: Option<Instant>,
    up_since: Option<Instant>,
}

impl FleetRunner {
    /// Whether the runner does not expire before `until`.
    pub(super) fn lives_until(&self, until: Instant) -> bool {
        self.expires.is_none_or(|expires| until <= expires)
    }

    /// Whether at least half of the lifetime that it had when it came up is left.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let (Some(expires), Some(up)) = (self.expires, self.up_since) else { return true };
        let life = expires.saturating_duration_since(up);
        expires.saturating_duration_since(now) >= life / 2
    }

    /// When it expires; `None` means never.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.expires
    }

    /// Whether the runner came up less than `probation` ago and has served no call. If such a
    /// runner is lost or shuts down, another boot would probably be wasted.
    pub(super) fn is_unused(&self, now: Instant, probation: Duration) -> bool {
        let young = self.up_since.is_some_and(|up| now.saturating_duration_since(up) < probation);
        self.phase == RunnerPhase::Up && self.leases == 0 && self.returned == 0 && young
    }
}

/// All runners of a pool.
#[derive(Debug)]
pub(super) struct Fleet {
    runners: BTreeMap<RunnerId, FleetRunner>,
    leases: BTreeMap<LeaseId, RunnerId>,
    index: LoadIndex,
    booting: u32,
    up: u32,
    next_runner: u64,
    next_lease: u64,
}

impl Fleet {
    pub(super) fn new(slots: u32) -> Self {
        Fleet {
            runners: BTreeMap::new(),
            leases: BTreeMap::new(),
            index: LoadIndex::new(slots),
            booting: 0,
            up: 0,
            next_runner: 0,
            next_lease: 0,
        }
    }

    /// Instances: booting, up, and shutting down.
    pub(super) fn occupied(&self) -> u32 {
        u32::try_from(self.runners.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runners.is_empty()
    }

    pub(super) fn booting(&self) -> u32 {
        self.booting
    }

    /// Runners that are up, with or without a free slot.
    pub(super) fn up(&self) -> u32 {
        self.up
    }

    /// Leases held, on all runners together.
    pub(super) fn leased(&self) -> usize {
        self.leases.len()
    }

    /// Slots that could be leased now.
    pub(super) fn free(&self) -> u64 {
        self.index.free()
    }

    pub(super) fn get(&self, id: RunnerId) -> Option<&FleetRunner> {
        self.runners.get(&id)
    }

    pub(super) fn phase(&self, id: RunnerId) -> Option<RunnerPhase> {
        self.runners.get(&id).map(|runner| runner.phase)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (RunnerId, &FleetRunner)> {
        self.runners.iter().map(|(&id, runner)| (id, runner))
    }

    /// Whether a runner ever had this id.
    pub(super) fn has_issued(&self, id: RunnerId) -> bool {
        id.0 < self.next_runner
    }

    /// Adds a runner that boots.
    pub(super) fn boot(&mut self, now: Instant, failures_before: u32) -> RunnerId {
        let id = RunnerId(self.next_runner);
        self.next_runner += 1;
        let phase = RunnerPhase::Booting;
        let (expires, up_since) = (None, None);
        let runner = FleetRunner {
            phase,
            boot_began: now,
            leases: 0,
            returned: 0,
            failures_before,
            expires,
            up_since,
        };
        self.runners.insert(id, runner);
        self.booting += 1;
        id
    }

    /// A booting runner is up. Boots work, so the failures before the boots under way no longer
    /// count.
    pub(super) fn came_up(&mut self, id: RunnerId, now: Instant, expires: Option<Instant>) {
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.expires = expires;
            runner.up_since = Some(now);
        }
        self.set_phase(id, RunnerPhase::Up);
        for runner in self.runners.values_mut().filter(|r| r.phase == RunnerPhase::Booting) {
            runner.failures_before = 0;
        }
    }

    /// Moves a runner into another phase.
    pub(super) fn set_phase(&mut self, id: RunnerId, phase: RunnerPhase) {
        let Some(runner) = self.runners.get_mut(&id) else { return };
        let before = std::mem::replace(&mut runner.phase, phase);
        let load = runner.leases;
        self.remove_from_counts(id, before, load);
        self.add_to_counts(id, phase, load);
    }

    /// The runners with a free slot, in the order in which `placement` prefers them.
    pub(super) fn with_free_slot(
        &self,
        placement: Placement,
    ) -> impl Iterator<Item = (RunnerId, &FleetRunner)> {
        let ids = self.index.in_order(placement);
        ids.filter_map(|id| Some((id, self.runners.get(&id)?)))
    }

    /// Leases a slot of a runner from [`with_free_slot`](Self::with_free_slot).
    pub(super) fn lease(&mut self, id: RunnerId) -> Option<LeaseId> {
        let runner = self.runners.get_mut(&id)?;
        self.index.remove(id, runner.leases);
        runner.leases += 1;
        self.index.insert(id, runner.leases);
        let lease = LeaseId(self.next_lease);
        self.next_lease += 1;
        self.leases.insert(lease, id);
        Some(lease)
    }

    /// Takes a lease back, and returns its runner; `None` if the lease is unknown or void.
    pub(super) fn return_lease(&mut self, lease: LeaseId) -> Option<RunnerId> {
        let id = self.leases.remove(&lease)?;
        let runner = self.runners.get_mut(&id)?;
        let load = runner.leases;
        runner.leases = load.saturating_sub(1);
        runner.returned += 1;
        if runner.phase == RunnerPhase::Up {
            self.index.remove(id, load);
            self.index.insert(id, runner.leases);
        }
        Some(id)
    }

    /// Stops a runner that is not stopped yet. Returns the runner as it was, and its leases, which
    /// are now void.
    pub(super) fn stop(&mut self, id: RunnerId) -> Option<(FleetRunner, Vec<LeaseId>)> {
        let was = *self.runners.get(&id).filter(|runner| runner.phase != RunnerPhase::Stopping)?;
        self.set_phase(id, RunnerPhase::Stopping);
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.leases = 0;
        }
        let void = if was.leases == 0 {
            Vec::new()
        } else {
            self.leases.extract_if(.., |_, holder| *holder == id).map(|(lease, _)| lease).collect()
        };
        Some((was, void))
    }

    /// Removes a runner that was stopped and is gone.
    pub(super) fn forget(&mut self, id: RunnerId) {
        if self.phase(id) == Some(RunnerPhase::Stopping) {
            self.runners.remove(&id);
        }
    }

    /// Changes the number of leases that a runner may hold. A runner with more keeps them.
    pub(super) fn set_slots(&mut self, slots: u32) {
        self.index = LoadIndex::new(slots);
        for (&id, runner) in self.runners.iter().filter(|(_, r)| r.phase == RunnerPhase::Up) {
            self.index.insert(id, runner.leases);
        }
    }

    fn add_to_counts(&mut self, id: RunnerId, phase: RunnerPhase, load: u32) {
        match phase {
            RunnerPhase::Booting => self.booting += 1,
            RunnerPhase::Up => {
                self.up += 1;
                self.index.insert(id, load);
            }
            RunnerPhase::Retiring(_) | RunnerPhase::Draining(_) | RunnerPhase::Stopping => {}
        }
    }

    fn remove_from_counts(&mut self, id: RunnerId, phase: RunnerPhase, load: u32) {
        match phase {
            RunnerPhase::Booting => self.booting -= 1,
            RunnerPhase::Up => {
                self.up -= 1;
                self.index.remove(id, load);
            }
            RunnerPhase::Retiring(_) | RunnerPhase::Draining(_) | RunnerPhase::Stopping => {}
        }
    }
}
