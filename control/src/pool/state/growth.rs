//! When and by how much the pool grows.
//!
//! The plan is made again from demand, limits and backoff each time anything happens, so a delayed
//! retry never acts on outdated demand.
//!
//! ```text
//!   missing slots = waiters + burst calls + min_free_slots - free slots - slots of boots under way
//!   wanted        = max(ceil(missing slots / slots per runner), min - up - booting)
//!   boots         = min(wanted, max - all instances, budget - all instances), as far as the
//!                   breaker allows
//! ```
//!
//! Runners that are shutting down count against `max`, because their instances still exist. They
//! count neither towards `min` nor as capacity, because they accept no new calls.

use std::time::Instant;

use super::PoolState;
use super::breaker::BreakerState;
use super::event::{Action, GrowReason, Note};

/// The next step in growing the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum GrowthPlan {
    /// Start these boots now.
    Boot(PlannedBoots),
    /// Start no boot, for this reason.
    Hold(HoldReason),
}

/// How many boots to start, and why: for demand first, then for `min`, then for
/// `min_free_slots`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PlannedBoots {
    pub(super) count: u32,
    for_demand: u32,
    for_min: u32,
}

impl PlannedBoots {
    fn reason(&self, nth: u32) -> GrowReason {
        if nth < self.for_demand {
            GrowReason::Demand
        } else if nth < self.for_min {
            GrowReason::Min
        } else {
            GrowReason::FreeSlots
        }
    }
}

/// Why no boot is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HoldReason {
    Draining,
    NoUnmetDemand,
    BootsUnderWay,
    MaxReached,
    OverBudget,
    Blocked,
    BackingOff { until: Instant },
    BreakerOpen { until: Instant },
}

impl<F: Clone> PoolState<F> {
    pub(super) fn plan(&self, now: Instant) -> GrowthPlan {
        if self.is_draining() {
            return GrowthPlan::Hold(HoldReason::Draining);
        }
        let waiting = (self.queue.len() as u64).saturating_add(self.burst_calls);
        let for_demand = self.boots_for(waiting);
        let for_free_slots =
            self.boots_for(waiting.saturating_add(u64::from(self.limits.min_free_slots)));
        let for_min = self.kept_min.saturating_sub(self.fleet.up() + self.fleet.booting());
        let wanted = for_free_slots.max(for_min);
        let (room, paid) = (self.room(), self.paid_room());
        let boots = |count| GrowthPlan::Boot(PlannedBoots { count, for_demand, for_min });

        if wanted == 0 && self.fleet.booting() > 0 {
            return GrowthPlan::Hold(HoldReason::BootsUnderWay);
        }
        if wanted == 0 {
            return GrowthPlan::Hold(HoldReason::NoUnmetDemand);
        }
        if self.boots_blocked.is_some() {
            return GrowthPlan::Hold(HoldReason::Blocked);
        }
        if room == 0 {
            return GrowthPlan::Hold(HoldReason::MaxReached);
        }
        if paid == 0 {
            return GrowthPlan::Hold(HoldReason::OverBudget);
        }
        match self.breaker.state(now) {
            BreakerState::Closed => boots(wanted.min(room).min(paid)),
            BreakerState::HalfOpen if self.fleet.booting() == 0 => boots(1),
            BreakerState::HalfOpen => GrowthPlan::Hold(HoldReason::BootsUnderWay),
            BreakerState::BackingOff { until } => {
                GrowthPlan::Hold(HoldReason::BackingOff { until })
            }
            BreakerState::Open { until } => GrowthPlan::Hold(HoldReason::BreakerOpen { until }),
        }
    }

    /// Starts the planned boots, or sets the time at which to plan again.
    pub(super) fn grow(&mut self, now: Instant) {
        self.retry = None;
        match self.plan(now) {
            GrowthPlan::Boot(boots) => {
                for nth in 0..boots.count {
                    let runner = self.fleet.boot(now, self.breaker.failures());
                    self.act(Action::Boot { runner });
                    self.note(Note::GrowStart { runner, reason: boots.reason(nth) });
                }
            }
            GrowthPlan::Hold(
                HoldReason::BackingOff { until } | HoldReason::BreakerOpen { until },
            ) => {
                self.retry = Some(until);
            }
            GrowthPlan::Hold(_) => {}
        }
    }

    /// How many more instances there may be within `max`.
    pub(super) fn room(&self) -> u32 {
        self.limits.max.saturating_sub(self.fleet.occupied())
    }

    /// How many more instances the budget pays for.
    pub(super) fn paid_room(&self) -> u32 {
        let paid = self.limits.budget.map_or(u32::MAX, |budget| budget.runners);
        paid.saturating_sub(self.fleet.occupied())
    }

    /// Whether the budget refuses a call that finds no free slot: the boots under way have none for
    /// it, and the budget, not `max`, forbids another.
    pub(super) fn refuses_to_wait(&self) -> bool {
        let waiting = (self.queue.len() as u64).saturating_add(self.burst_calls).saturating_add(1);
        self.limits.budget.is_some_and(|budget| budget.refuses)
            && self.boots_for(waiting) > 0
            && self.paid_room() == 0
            && self.room() > 0
    }

    /// How many boots are needed, beyond those under way, for `slots` slots to be free.
    fn boots_for(&self, slots: u64) -> u32 {
        let per_runner = u64::from(self.limits.slots_per_runner());
        let pending = u64::from(self.fleet.booting()) * per_runner;
        let missing = slots.saturating_sub(self.fleet.free().saturating_add(pending));
        u32::try_from(missing.div_ceil(per_runner)).unwrap_or(u32::MAX)
    }
}
