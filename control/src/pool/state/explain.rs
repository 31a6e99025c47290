//! Reports for people: what the pool looks like, and why it grows or does not.

use std::fmt;
use std::time::{Duration, Instant};

use super::PoolState;
use super::fleet::RunnerPhase;
use super::growth::{GrowthPlan, HoldReason};
use super::ids::RunnerId;

/// The pool at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StateSnapshot {
    /// In the order in which they were booted.
    pub(crate) runners: Vec<RunnerSnapshot>,
    /// Calls that wait for a slot.
    pub(crate) queued: usize,
    /// Runners that are up.
    pub(crate) up: u32,
    /// Boots under way.
    pub(crate) booting: u32,
    /// Leases held, on all runners together.
    pub(crate) leased: usize,
    /// Slots that could be leased now.
    pub(crate) free: u64,
    /// Slots of each runner.
    pub(crate) slots: u32,
}

/// One runner at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RunnerSnapshot {
    pub(crate) id: RunnerId,
    pub(crate) state: RunnerState,
    /// When its boot began.
    pub(crate) boot_began: Instant,
    /// Leases that it holds now.
    pub(crate) leases: u32,
    /// Leases that have been returned.
    pub(crate) returned: u64,
}

/// The phase of a runner's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunnerState {
    /// Requested from the backend, and not connected yet.
    Booting,
    /// Accepts calls, unless all of its slots are in use.
    Up,
    /// Finishes its calls, and accepts no more.
    Retiring,
    /// Has been told to shut down.
    Draining,
    /// Failed, lost, or no longer needed: its instance is being stopped.
    Stopping,
}

/// Why the pool grows or does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StateExplanation<F> {
    pub(crate) up: u32,
    pub(crate) booting: u32,
    /// Runners that are retiring, draining or being stopped. They count against `max` until they
    /// are gone.
    pub(crate) leaving: u32,
    pub(crate) free: u64,
    pub(crate) queued: usize,
    pub(crate) max: u32,
    pub(crate) growth: Growth<F>,
}

/// The reason that decides about growth now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Growth<F> {
    /// The pool is draining.
    Draining,
    /// There is a slot for every call, and `min` and `min_free_slots` are kept.
    NoUnmetDemand,
    /// The boots under way suffice, or the one boot after an open breaker has yet to show whether
    /// boots work again.
    BootsUnderWay,
    /// More runners are needed, but there are `max` instances.
    MaxReached,
    /// More runners are needed, but the budget pays for no more.
    OverBudget { runners: u32 },
    /// Every boot would fail for this reason, so none is tried, and calls that need one are
    /// rejected.
    Blocked { why: F },
    /// More runners are needed; the next boot waits because boots have failed.
    BackingOff { remaining: Duration, failures: u32, last_failure: Option<F> },
    /// So many boots failed in a row that none is tried for now, and calls that need one are
    /// rejected.
    BreakerOpen { remaining: Duration, failures: u32, last_failure: Option<F> },
    /// More runners are needed, and boot as soon as the pool handles its timeout.
    Due { boots: u32 },
}

impl<F: Clone> PoolState<F> {
    /// The runners, and the counters of the pool.
    pub(crate) fn snapshot(&self) -> StateSnapshot {
        let runners = self.fleet.iter().map(|(id, runner)| RunnerSnapshot {
            id,
            state: match runner.phase {
                RunnerPhase::Booting => RunnerState::Booting,
                RunnerPhase::Up => RunnerState::Up,
                RunnerPhase::Retiring(_) => RunnerState::Retiring,
                RunnerPhase::Draining(_) => RunnerState::Draining,
                RunnerPhase::Stopping => RunnerState::Stopping,
            },
            boot_began: runner.boot_began,
            leases: runner.leases,
            returned: runner.returned,
        });
        StateSnapshot {
            runners: runners.collect(),
            queued: self.queue.len(),
            up: self.fleet.up(),
            booting: self.fleet.booting(),
            leased: self.fleet.leased(),
            free: self.fleet.free(),
            slots: self.limits.slots_per_runner(),
        }
    }

    /// Why the pool grows or does not.
    pub(crate) fn explain(&self, now: Instant) -> StateExplanation<F> {
        let (up, booting) = (self.fleet.up(), self.fleet.booting());
        StateExplanation {
            up,
            booting,
            leaving: self.fleet.occupied() - up - booting,
            free: self.fleet.free(),
            queued: self.queue.len(),
            max: self.limits.max,
            growth: self.explain_growth(now),
        }
    }

    fn explain_growth(&self, now: Instant) -> Growth<F> {
        let hold = match self.plan(now) {
            GrowthPlan::Boot(boots) => return Growth::Due { boots: boots.count },
            GrowthPlan::Hold(hold) => hold,
        };
        let failures = self.breaker.failures();
        let remaining = |until: Instant| until.saturating_duration_since(now);
        let last_failure = self.last_failure.clone();
        match hold {
            HoldReason::Draining => Growth::Draining,
            // With boots blocked or the breaker open, calls are rejected at once, so there is no
            // demand. What people want to know is why calls are rejected.
            HoldReason::NoUnmetDemand | HoldReason::Blocked => {
                match (self.boots_blocked.clone(), self.open_breaker(now)) {
                    (Some(why), _) => Growth::Blocked { why },
                    (None, Some((until, failure))) => Growth::BreakerOpen {
                        remaining: remaining(until),
                        failures,
                        last_failure: Some(failure),
                    },
                    (None, None) => Growth::NoUnmetDemand,
                }
            }
            HoldReason::BootsUnderWay => Growth::BootsUnderWay,
            HoldReason::MaxReached => Growth::MaxReached,
            HoldReason::OverBudget => {
                let runners = self.limits.budget.map_or(u32::MAX, |budget| budget.runners);
                Growth::OverBudget { runners }
            }
            HoldReason::BackingOff { until } => {
                Growth::BackingOff { remaining: remaining(until), failures, last_failure }
            }
            HoldReason::BreakerOpen { until } => {
                Growth::BreakerOpen { remaining: remaining(until), failures, last_failure }
            }
        }
    }
}

impl<F: fmt::Display> fmt::Display for StateExplanation<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StateExplanation { up, booting, leaving, free, queued, max, growth } = self;
        write!(
            f,
            "{up} up ({free} free slots), {booting} booting, {leaving} leaving, max {max}; "
        )?;
        write!(f, "{queued} queued: {growth}")
    }
}

impl<F: fmt::Display> fmt::Display for Growth<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |f: &mut fmt::Formatter<'_>, failures: &u32, last: &Option<F>| {
            let times = if *failures == 1 { "failure" } else { "failures" };
            write!(f, " after {failures} {times} in a row")?;
            last.as_ref().map_or(Ok(()), |failure| write!(f, "; the last failure: {failure}"))
        };
        match self {
            Growth::Draining => write!(f, "not growing: the pool is draining"),
            Growth::NoUnmetDemand => write!(f, "not growing: there is no unmet demand"),
            Growth::BootsUnderWay => write!(f, "waiting for the boots under way"),
            Growth::MaxReached => write!(f, "not growing: `max` is reached"),
            Growth::OverBudget { runners } => {
                write!(f, "not growing: the budget pays for {runners} runners (by an estimate)")
            }
            Growth::Blocked { why } => write!(f, "not growing: {why}"),
            Growth::BackingOff { remaining, failures, last_failure } => {
                write!(f, "next boot in {remaining:.1?}")?;
                after(f, failures, last_failure)
            }
            Growth::BreakerOpen { remaining, failures, last_failure } => {
                write!(f, "no boot for {remaining:.1?}")?;
                after(f, failures, last_failure)
            }
            Growth::Due { boots } => write!(f, "growing by {boots}"),
        }
    }
}
