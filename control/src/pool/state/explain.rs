//! What the pool looks like, and why it grows or does not: for people.

use std::fmt;
use std::time::{Duration, Instant};

use super::PoolState;
use super::fleet::Phase;
use super::growth::{Hold, Plan};
use super::ids::RunnerId;

/// The pool at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot {
    /// In order of their boots.
    pub(crate) runners: Vec<RunnerSnapshot>,
    /// Waiters in the queue.
    pub(crate) queued: usize,
    /// Runners that serve.
    pub(crate) up: u32,
    /// Boots under way.
    pub(crate) booting: u32,
    /// Leases held, on all runners together.
    pub(crate) leased: usize,
    /// Slots that could be leased now.
    pub(crate) free: u64,
}

/// One runner at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RunnerSnapshot {
    pub(crate) id: RunnerId,
    pub(crate) state: RunnerState,
    /// Leases it holds now.
    pub(crate) leases: u32,
    /// Leases it has given back.
    pub(crate) returned: u64,
}

/// Where a runner is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunnerState {
    /// Asked of the backend, not yet seen.
    Booting,
    /// Serves.
    Up,
    /// Finishes its leases and takes no more.
    Retiring,
    /// Told to end, or ending by itself.
    Draining,
    /// Failed, lost, or not wanted any more: its instance is being stopped.
    Stopping,
}

/// Why the pool grows or does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Explanation<F> {
    pub(crate) up: u32,
    pub(crate) booting: u32,
    /// Runners on their way out; they count against `max` until they are gone.
    pub(crate) leaving: u32,
    pub(crate) free: u64,
    pub(crate) queued: usize,
    pub(crate) max: u32,
    pub(crate) growth: Growth<F>,
}

/// The one reason that decides about growth now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Growth<F> {
    /// The pool is draining.
    Draining,
    /// There is a slot for everyone, and `min` and `min_free_slots` are kept.
    NoUnmetDemand,
    /// The boots under way suffice, or the one after an open breaker has yet to show that boots
    /// work again.
    BootsUnderWay,
    /// More is wanted, and `max` instances are held.
    MaxReached,
    /// Every boot would fail for this reason, so none is tried, and callers are sent away.
    Barred { why: F },
    /// More is wanted; the next boot waits after a failure.
    BackingOff { remaining: Duration, failures: u32, last_failure: Option<F> },
    /// So many boots failed in a row that none is tried for now, and callers are sent away.
    BreakerOpen { remaining: Duration, failures: u32, last_failure: Option<F> },
    /// More is wanted, and starts as soon as the pool handles its timeout.
    Due { boots: u32 },
}

impl<F: Clone> PoolState<F> {
    /// Who is there.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let runners = self.fleet.iter().map(|(id, runner)| RunnerSnapshot {
            id,
            state: match runner.phase {
                Phase::Booting => RunnerState::Booting,
                Phase::Up => RunnerState::Up,
                Phase::Retiring(_) => RunnerState::Retiring,
                Phase::Draining(_) => RunnerState::Draining,
                Phase::Stopping => RunnerState::Stopping,
            },
            leases: runner.leases,
            returned: runner.returned,
        });
        Snapshot {
            runners: runners.collect(),
            queued: self.queue.len(),
            up: self.fleet.up(),
            booting: self.fleet.booting(),
            leased: self.fleet.leased(),
            free: self.fleet.free(),
        }
    }

    /// Why the pool grows or does not.
    pub(crate) fn explain(&self, now: Instant) -> Explanation<F> {
        let failures = self.ladder.rung();
        let last_failure = || self.last_failure.clone();
        let barred = || self.barred.clone();
        let remaining = |until: Instant| until.saturating_duration_since(now);
        let growth = match self.plan(now) {
            Plan::Boot(boots) => Growth::Due { boots: boots.count },
            Plan::Hold(Hold::Draining) => Growth::Draining,
            // Callers are sent away at once, so there is no demand; that is not what people ask.
            Plan::Hold(Hold::NoUnmetDemand | Hold::Barred) => match (barred(), self.broken(now)) {
                (Some(why), _) => Growth::Barred { why },
                (None, Some((until, failure))) => Growth::BreakerOpen {
                    remaining: remaining(until),
                    failures,
                    last_failure: Some(failure),
                },
                (None, None) => Growth::NoUnmetDemand,
            },
            Plan::Hold(Hold::BootsUnderWay) => Growth::BootsUnderWay,
            Plan::Hold(Hold::MaxReached) => Growth::MaxReached,
            Plan::Hold(Hold::BackingOff { until }) => Growth::BackingOff {
                remaining: remaining(until),
                failures,
                last_failure: last_failure(),
            },
            Plan::Hold(Hold::BreakerOpen { until }) => Growth::BreakerOpen {
                remaining: remaining(until),
                failures,
                last_failure: last_failure(),
            },
        };
        let (up, booting) = (self.fleet.up(), self.fleet.booting());
        Explanation {
            up,
            booting,
            leaving: self.fleet.occupied() - up - booting,
            free: self.fleet.free(),
            queued: self.queue.len(),
            max: self.limits.max,
            growth,
        }
    }
}

impl<F: fmt::Display> fmt::Display for Explanation<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { up, booting, leaving, free, queued, max, growth } = self;
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
            write!(f, " after {failures} failures in a row")?;
            last.as_ref().map_or(Ok(()), |failure| write!(f, ", the last: {failure}"))
        };
        match self {
            Growth::Draining => write!(f, "not growing, the pool is draining"),
            Growth::NoUnmetDemand => write!(f, "not growing, there is no unmet demand"),
            Growth::BootsUnderWay => write!(f, "the boots under way are to meet the demand"),
            Growth::MaxReached => write!(f, "not growing, max is reached"),
            Growth::Barred { why } => write!(f, "not growing: {why}"),
            Growth::BackingOff { remaining, failures, last_failure } => {
                write!(f, "next boot in {remaining:.1?}")?;
                after(f, failures, last_failure)
            }
            Growth::BreakerOpen { remaining, failures, last_failure } => {
                write!(f, "no boot is tried for {remaining:.1?}")?;
                after(f, failures, last_failure)
            }
            Growth::Due { boots } => write!(f, "growing by {boots}"),
        }
    }
}
