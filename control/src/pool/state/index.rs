//! Runners with a free slot, in order of load.
//!
//! Invariant: the index holds exactly the inserted runners whose load is below `slots`, and `free`
//! is the sum of their free slots. Full runners are not in it, so the runner to lease is the
//! first or the last in it.

use std::collections::BTreeSet;

use super::ids::RunnerId;
use super::limits::Placement;

/// An ordered set of `(load, runner)`; every operation is O(log n) in the number of runners.
#[derive(Debug)]
pub(super) struct LoadIndex {
    slots: u32,
    by_load: BTreeSet<(u32, RunnerId)>,
    free: u64,
}

impl LoadIndex {
    pub(super) fn new(slots: u32) -> Self {
        LoadIndex { slots, by_load: BTreeSet::new(), free: 0 }
    }

    /// Adds a runner with this load, unless it is full.
    pub(super) fn insert(&mut self, runner: RunnerId, load: u32) {
        if load < self.slots && self.by_load.insert((load, runner)) {
            self.free += u64::from(self.slots - load);
        }
    }

    /// Removes a runner; `load` must be the load that it was inserted with.
    pub(super) fn remove(&mut self, runner: RunnerId, load: u32) {
        if self.by_load.remove(&(load, runner)) {
            self.free -= u64::from(self.slots - load);
        }
    }

    /// The runners, in the order in which they should be leased.
    pub(super) fn in_order(&self, placement: Placement) -> impl Iterator<Item = RunnerId> {
        let mut both_ends = self.by_load.iter();
        let next = move || match placement {
            Placement::Spread => both_ends.next(),
            Placement::Pack => both_ends.next_back(),
        };
        std::iter::from_fn(next).map(|&(_, runner)| runner)
    }

    /// Free slots of all runners together.
    pub(super) fn free(&self) -> u64 {
        self.free
    }
}
