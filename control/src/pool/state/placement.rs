//! Which runner a call goes to.
//!
//! ```text
//!   the call completes by a known time ─▶ the first runner that does not expire before that time
//!   the length of the call is unknown ──▶ the first runner with at least half of its lifetime left
//!                     └─ none, and there is room for fresh runners ──▶ wait for a fresh runner
//!                     └─ none, and there is no room ─────────────────▶ the runner that expires last
//! ```
//!
//! A runner that does not suit the next call is retired to make room for one that does. It could
//! still serve other calls; but then a slot would be free while a call waits, and no boot would
//! start for that call.

use std::time::Instant;

use super::PoolState;
use super::breaker::BreakerState;
use super::fleet::FleetRunner;
use super::ids::RunnerId;

impl<F: Clone> PoolState<F> {
    /// A runner with a free slot for work that completes by `until`. `None` if the work must wait;
    /// then no slot is free.
    pub(super) fn choose_runner(
        &mut self,
        now: Instant,
        until: Option<Instant>,
    ) -> Option<RunnerId> {
        loop {
            let (first, runner) = self.fleet.with_free_slot(self.limits.placement).next()?;
            let found = match until {
                Some(until) => runner.lives_until(until).then_some(first),
                None => self.choose_for_unbounded(now),
            };
            if found.is_some() {
                return found;
            }
            self.retire_expiring(now, first);
        }
    }

    /// The same for work of unknown length. Any runner that expires may cut it off, so it gets as
    /// much time as possible. `None` if it should wait for a fresh runner.
    fn choose_for_unbounded(&self, now: Instant) -> Option<RunnerId> {
        let open = || self.fleet.with_free_slot(self.limits.placement);
        let fresh = open().find(|(_, runner)| runner.is_fresh(now));
        if let Some((fresh, _)) = fresh {
            return Some(fresh);
        }
        if self.has_room_for_fresh(now) {
            return None;
        }
        open().max_by_key(|(_, runner)| runner.expires()).map(|(longest, _)| longest)
    }

    /// Whether boots work, and each runner with a free slot can be replaced within `max` and the
    /// budget. A runner without leases makes room when it has shut down; a busy one needs room for its replacement.
    fn has_room_for_fresh(&self, now: Instant) -> bool {
        let busy = |(_, runner): &(RunnerId, &FleetRunner)| runner.leases > 0;
        let busy = self.fleet.with_free_slot(self.limits.placement).filter(busy).count();
        let held = self.fleet.occupied() as usize + busy;
        let paid = self.limits.budget.map_or(u32::MAX, |budget| budget.runners);
        self.breaker.state(now) == BreakerState::Closed
            && held <= self.limits.max.min(paid) as usize
    }
}
