//! When and by how much the pool grows.
//!
//! The plan is a pure function of the moment: demand, limits and back-off are asked again each time
//! anything happens, so a delayed retry never acts on what was true when it was delayed.
//!
//! ```text
//!   short  = waiters + elsewhere + spare - free slots - slots of boots under way
//!   wanted = max(ceil(short / slots per runner), min - up - booting)
//!   boots  = min(wanted, max - every instance held), as far as the back-off lets them
//! ```
//!
//! Runners on their way out count against `max`, since their instances do; they count neither
//! towards `min` nor as capacity, since they serve nobody new.

use std::time::Instant;

use super::PoolState;
use super::backoff::Gate;
use super::event::{Action, GrowReason, Note};

/// What the pool does about its size at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// Start that many boots now.
    Boot(Boots),
    /// Start none, for this reason.
    Hold(Hold),
}

/// Boots to start, and whom they are for: demand first, then `min`, then `min_free_slots`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Boots {
    pub(super) count: u32,
    for_demand: u32,
    for_min: u32,
}

impl Boots {
    fn reason(&self, nth: u32) -> GrowReason {
        if nth < self.for_demand {
            GrowReason::Demand
        } else if nth < self.for_min {
            GrowReason::Min
        } else {
            GrowReason::Spare
        }
    }
}

/// Why no boot is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hold {
    Draining,
    NoUnmetDemand,
    BootsUnderWay,
    MaxReached,
    Barred,
    BackingOff { until: Instant },
    BreakerOpen { until: Instant },
}

impl<F: Clone> PoolState<F> {
    pub(super) fn plan(&self, now: Instant) -> Plan {
        if self.is_draining() {
            return Plan::Hold(Hold::Draining);
        }
        let waiting = (self.queue.len() as u64).saturating_add(self.elsewhere);
        let for_demand = self.boots_for(waiting);
        let for_free_slots =
            self.boots_for(waiting.saturating_add(u64::from(self.limits.min_free_slots)));
        let for_min = self.kept_min.saturating_sub(self.fleet.up() + self.fleet.booting());
        let wanted = for_free_slots.max(for_min);
        let room = self.limits.max.saturating_sub(self.fleet.occupied());
        let boots = |count| Plan::Boot(Boots { count, for_demand, for_min });

        if wanted == 0 && self.fleet.booting() > 0 {
            return Plan::Hold(Hold::BootsUnderWay);
        }
        if wanted == 0 {
            return Plan::Hold(Hold::NoUnmetDemand);
        }
        if self.barred.is_some() {
            return Plan::Hold(Hold::Barred);
        }
        if room == 0 {
            return Plan::Hold(Hold::MaxReached);
        }
        match self.ladder.gate(now) {
            Gate::Open => boots(wanted.min(room)),
            Gate::Trial if self.fleet.booting() == 0 => boots(1),
            Gate::Trial => Plan::Hold(Hold::BootsUnderWay),
            Gate::Shut { until } => Plan::Hold(Hold::BackingOff { until }),
            Gate::BreakerOpen { until } => Plan::Hold(Hold::BreakerOpen { until }),
        }
    }

    /// Starts what is wanted, or sets the timer at which to ask again.
    pub(super) fn grow(&mut self, now: Instant) {
        self.retry = None;
        match self.plan(now) {
            Plan::Boot(boots) => {
                for nth in 0..boots.count {
                    let runner = self.fleet.boot(self.ladder.rung());
                    self.act(Action::Boot { runner });
                    self.note(Note::GrowStart { runner, reason: boots.reason(nth) });
                }
            }
            Plan::Hold(Hold::BackingOff { until } | Hold::BreakerOpen { until }) => {
                self.retry = Some(until);
            }
            Plan::Hold(_) => {}
        }
    }

    /// Boots needed, beyond those under way, for that many slots to be free.
    fn boots_for(&self, slots: u64) -> u32 {
        let per_runner = u64::from(self.limits.slots_per_runner());
        let pending = u64::from(self.fleet.booting()) * per_runner;
        let short = slots.saturating_sub(self.fleet.free().saturating_add(pending));
        u32::try_from(short.div_ceil(per_runner)).unwrap_or(u32::MAX)
    }
}
