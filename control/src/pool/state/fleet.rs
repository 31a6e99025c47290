//! The runners and their leases.
//!
//! ```text
//!   Booting ──▶ Up ──▶ Retiring ──▶ Draining ──▶ (gone)
//!      │         └──────────────────▶┘  ▲
//!      └────────────────────────────────┘ (announced its end before it was seen up)
//!
//!   any of these ──▶ Stopping ──▶ (gone)       (failed, lost, or not wanted any more)
//! ```
//!
//! Invariants: a runner is in the index exactly when it is `Up` and has a free slot, so nothing
//! else can be leased; the counters are those of the phases; a lease is in the map exactly while
//! its runner counts it. Every change of a phase or a load passes through here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::event::ShrinkReason;
use super::ids::{LeaseId, RunnerId};
use super::index::LoadIndex;
use super::limits::Placement;

/// Where a runner is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Asked of the backend, not yet seen.
    Booting,
    /// May be leased while it has a free slot.
    Up,
    /// Takes no more leases; told to drain when the last it holds is back.
    Retiring(ShrinkReason),
    /// Ending: told to, or by its own announcement.
    Draining(ShrinkReason),
    /// Of no use any more, and stopped; its instance may take a while to end.
    Stopping,
}

/// One runner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runner {
    pub(super) phase: Phase,
    /// Leases it holds now.
    pub(super) leases: u32,
    /// Leases it has given back.
    pub(super) returned: u64,
    /// The rung of the back-off its boot was tried from.
    pub(super) rung: u32,
    /// Until when it may work.
    expires: Option<Instant>,
    up_since: Option<Instant>,
}

impl Runner {
    /// Whether work that is over by `until` can end on it.
    pub(super) fn lasts(&self, until: Instant) -> bool {
        self.expires.is_none_or(|expires| until <= expires)
    }

    /// Whether at least half of the time that it had when it came up is left.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let (Some(expires), Some(up)) = (self.expires, self.up_since) else { return true };
        let life = expires.saturating_duration_since(up);
        expires.saturating_duration_since(now) >= life / 2
    }

    /// Until when it may work; `None` is for as long as it likes.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.expires
    }

    /// Whether its end says that booting another is likely in vain: it came up, was of no use to
    /// anyone, and is ending within `probation`.
    pub(super) fn is_stillborn(&self, now: Instant, probation: Duration) -> bool {
        let young = self.up_since.is_some_and(|up| now.saturating_duration_since(up) < probation);
        self.phase == Phase::Up && self.leases == 0 && self.returned == 0 && young
    }
}

/// All runners of a pool.
#[derive(Debug)]
pub(super) struct Fleet {
    runners: BTreeMap<RunnerId, Runner>,
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

    /// Instances held: booting, up, and on their way out.
    pub(super) fn occupied(&self) -> u32 {
        u32::try_from(self.runners.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runners.is_empty()
    }

    pub(super) fn booting(&self) -> u32 {
        self.booting
    }

    /// Runners that serve: leasable now, or full.
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

    pub(super) fn get(&self, id: RunnerId) -> Option<&Runner> {
        self.runners.get(&id)
    }

    pub(super) fn phase(&self, id: RunnerId) -> Option<Phase> {
        self.runners.get(&id).map(|runner| runner.phase)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (RunnerId, &Runner)> {
        self.runners.iter().map(|(&id, runner)| (id, runner))
    }

    /// Whether this id was ever given to a runner.
    pub(super) fn has_issued(&self, id: RunnerId) -> bool {
        id.0 < self.next_runner
    }

    /// A new runner, booting.
    pub(super) fn boot(&mut self, rung: u32) -> RunnerId {
        let id = RunnerId(self.next_runner);
        self.next_runner += 1;
        let phase = Phase::Booting;
        let (expires, up_since) = (None, None);
        let runner = Runner { phase, leases: 0, returned: 0, rung, expires, up_since };
        self.runners.insert(id, runner);
        self.booting += 1;
        id
    }

    /// A booting runner is up. Boots under way start from a clean record: boots work.
    pub(super) fn came_up(&mut self, id: RunnerId, now: Instant, expires: Option<Instant>) {
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.expires = expires;
            runner.up_since = Some(now);
        }
        self.turn(id, Phase::Up);
        for runner in self.runners.values_mut().filter(|r| r.phase == Phase::Booting) {
            runner.rung = 0;
        }
    }

    /// Moves a runner into another phase.
    pub(super) fn turn(&mut self, id: RunnerId, phase: Phase) {
        let Some(runner) = self.runners.get_mut(&id) else { return };
        let before = std::mem::replace(&mut runner.phase, phase);
        let load = runner.leases;
        self.leave(id, before, load);
        self.enter(id, phase, load);
    }

    /// The runners with a free slot, in the order in which placement picks them.
    pub(super) fn open(&self, placement: Placement) -> impl Iterator<Item = (RunnerId, &Runner)> {
        let ids = self.index.in_order(placement);
        ids.filter_map(|id| Some((id, self.runners.get(&id)?)))
    }

    /// Leases a slot of a runner that was picked.
    pub(super) fn lease(&mut self, id: RunnerId) -> Option<LeaseId> {
        let runner = self.runners.get_mut(&id)?;
        self.index.take(id, runner.leases);
        runner.leases += 1;
        self.index.put(id, runner.leases);
        let lease = LeaseId(self.next_lease);
        self.next_lease += 1;
        self.leases.insert(lease, id);
        Some(lease)
    }

    /// Ends a lease; `None` if it is unknown or void.
    pub(super) fn give_back(&mut self, lease: LeaseId) -> Option<RunnerId> {
        let id = self.leases.remove(&lease)?;
        let runner = self.runners.get_mut(&id)?;
        let load = runner.leases;
        runner.leases = load.saturating_sub(1);
        runner.returned += 1;
        if runner.phase == Phase::Up {
            self.index.take(id, load);
            self.index.put(id, runner.leases);
        }
        Some(id)
    }

    /// Stops a runner that is not stopped yet, and says what it was; its leases, which are
    /// returned, are void.
    pub(super) fn stop(&mut self, id: RunnerId) -> Option<(Runner, Vec<LeaseId>)> {
        let was = *self.runners.get(&id).filter(|runner| runner.phase != Phase::Stopping)?;
        self.turn(id, Phase::Stopping);
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

    /// Nothing is left of a runner that was stopped.
    pub(super) fn forget(&mut self, id: RunnerId) {
        if self.phase(id) == Some(Phase::Stopping) {
            self.runners.remove(&id);
        }
    }

    /// Changes the number of leases a runner may hold; those above it keep what they have.
    pub(super) fn set_slots(&mut self, slots: u32) {
        self.index = LoadIndex::new(slots);
        for (&id, runner) in self.runners.iter().filter(|(_, r)| r.phase == Phase::Up) {
            self.index.put(id, runner.leases);
        }
    }

    fn enter(&mut self, id: RunnerId, phase: Phase, load: u32) {
        match phase {
            Phase::Booting => self.booting += 1,
            Phase::Up => {
                self.up += 1;
                self.index.put(id, load);
            }
            Phase::Retiring(_) | Phase::Draining(_) | Phase::Stopping => {}
        }
    }

    fn leave(&mut self, id: RunnerId, phase: Phase, load: u32) {
        match phase {
            Phase::Booting => self.booting -= 1,
            Phase::Up => {
                self.up -= 1;
                self.index.take(id, load);
            }
            Phase::Retiring(_) | Phase::Draining(_) | Phase::Stopping => {}
        }
    }
}
