//! Which runner a call goes to.
//!
//! ```text
//!   over by a known time ──▶ the first that lasts until then
//!   no known end ──────────▶ the first with half of its life left ── none, and room for fresh ones:
//!                                                                     they are waited for
//!                                                               └─── none, and no room: the one
//!                                                                     that lasts longest
//! ```
//!
//! A runner that is of no use to whoever is next makes room for one that is. It might still serve
//! others; but then a slot would be free while someone waits, and nobody would be owed a boot.

use std::time::Instant;

use super::PoolState;
use super::backoff::Gate;
use super::fleet::Runner;
use super::ids::RunnerId;

impl<F: Clone> PoolState<F> {
    /// The runner with a free slot for work that is over by `until`; `None` if the work must wait.
    /// Then no slot is free.
    pub(super) fn place(&mut self, now: Instant, until: Option<Instant>) -> Option<RunnerId> {
        loop {
            let (first, runner) = self.fleet.open(self.limits.placement).next()?;
            let found = match until {
                Some(until) => runner.lasts(until).then_some(first),
                None => self.place_endless(now),
            };
            if found.is_some() {
                return found;
            }
            self.retire_expiring(now, first);
        }
    }

    /// The same for work that may take for ever: wherever it is, it may be cut off, so it gets as
    /// much time as can be had. `None` if fresh runners are to take the place of those there are.
    fn place_endless(&self, now: Instant) -> Option<RunnerId> {
        let open = || self.fleet.open(self.limits.placement);
        let fresh = open().find(|(_, runner)| runner.is_fresh(now));
        if let Some((fresh, _)) = fresh {
            return Some(fresh);
        }
        if self.has_room_for_fresh(now) {
            return None;
        }
        open().max_by_key(|(_, runner)| runner.expires()).map(|(longest, _)| longest)
    }

    /// Whether boots work, and there is room for as many as have free slots: those that are empty
    /// leave theirs.
    fn has_room_for_fresh(&self, now: Instant) -> bool {
        let busy = |(_, runner): &(RunnerId, &Runner)| runner.leases > 0;
        let busy = self.fleet.open(self.limits.placement).filter(busy).count();
        let held = self.fleet.occupied() as usize + busy;
        self.ladder.gate(now) == Gate::Open && held <= self.limits.max as usize
    }
}
