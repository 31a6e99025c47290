//! The pool as it shows itself.

use std::fmt;

use flame_wire::ids::RunnerRef;

use super::driver::{Failure, Shared};
use super::state::{self, Growth};

pub use super::state::RunnerState;

/// A pool at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its runners, in the order of their boots.
    pub runners: Vec<RunnerView>,
    /// Calls that wait for a slot.
    pub queued: usize,
    /// Runners that serve.
    pub up: u32,
    /// Boots under way.
    pub booting: u32,
    /// Slots in use, on all runners together.
    pub leased: usize,
    /// Slots that are free.
    pub free: u64,
}

/// A runner at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunnerView {
    /// Its name.
    pub runner: RunnerRef,
    /// Its backend's name of it, once it is up.
    pub instance: Option<String>,
    /// Its process id on its host, once it is up.
    pub pid: Option<u32>,
    /// Where it is in its life.
    pub state: RunnerState,
    /// Slots in use.
    pub leases: u32,
    /// Calls that it has done.
    pub calls_done: u64,
}

pub(super) fn snapshot(pool: &Shared) -> Snapshot {
    let seen = pool.read(|state| state.snapshot());
    let state::Snapshot { runners, queued, up, booting, leased, free } = seen;
    let view = |runner: state::RunnerSnapshot| {
        let (name, up) = pool.runner(runner.id)?;
        let (instance, pid) = up.map(|up| (up.instance, up.pid)).unzip();
        Some(RunnerView {
            runner: name,
            instance,
            pid: pid.flatten(),
            state: runner.state,
            leases: runner.leases,
            calls_done: runner.returned,
        })
    };
    let runners = runners.into_iter().filter_map(view).collect();
    Snapshot { runners, queued, up, booting, leased, free }
}

/// Why a pool grows, or does not. Its `Display` says it in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation(pub(super) state::Explanation<Failure>);

impl Explanation {
    /// Whether more runners are wanted than there are, for calls, `min` or `spare`.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        !matches!(self.0.growth, Growth::NoUnmetDemand | Growth::Draining)
    }

    /// Whether growth waits after boots that failed.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        matches!(self.0.growth, Growth::BackingOff { .. } | Growth::BreakerOpen { .. })
    }

    /// Whether `max` keeps it from growing.
    #[must_use]
    pub fn is_at_max(&self) -> bool {
        matches!(self.0.growth, Growth::MaxReached)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
