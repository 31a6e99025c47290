//! The pool as it shows itself.

use std::fmt;
use std::time::Instant;

use flame_wire::ids::RunnerRef;
use flame_wire::parent::HostKind;

use super::driver::{Failure, Shared};
use super::state::{self, Growth};

pub use super::state::RunnerState;

/// A pool at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its runners, in the order of their boots; those of its burst backend last.
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
    /// What it runs in.
    pub host: HostKind,
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
    let parts = pool.all().map(part);
    parts
        .reduce(|mut all, burst| {
            all.runners.extend(burst.runners);
            Snapshot {
                queued: all.queued + burst.queued,
                up: all.up + burst.up,
                booting: all.booting + burst.booting,
                leased: all.leased + burst.leased,
                free: all.free + burst.free,
                ..all
            }
        })
        .unwrap_or_default()
}

/// What one backend of a pool has.
fn part(pool: &Shared) -> Snapshot {
    let seen = pool.read(|state| state.snapshot());
    let state::Snapshot { runners, queued, up, booting, leased, free } = seen;
    let host = pool.backend.kind();
    let view = |runner: state::RunnerSnapshot| {
        let (name, up) = pool.runner(runner.id)?;
        let (instance, pid) = up.map(|up| (up.instance, up.pid)).unzip();
        Some(RunnerView {
            runner: name,
            host,
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

pub(super) fn explain(pool: &Shared, now: Instant) -> Explanation {
    let of = |pool: &Shared| pool.read(|state| state.explain(now));
    Explanation { first: of(pool), burst: pool.burst.get().map(|burst| of(&burst.pool)) }
}

/// Why a pool grows, or does not. Its `Display` says it in a sentence, and in one more for its
/// burst backend; what can be asked is about the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    first: state::Explanation<Failure>,
    burst: Option<state::Explanation<Failure>>,
}

impl Explanation {
    /// Whether more runners are wanted than there are, for calls, `min` or `min_free_slots`.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        !matches!(self.first.growth, Growth::NoUnmetDemand | Growth::Draining)
    }

    /// Whether growth waits after boots that failed, or until this process has reached
    /// [`App::run`](crate::App::run).
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        matches!(
            self.first.growth,
            Growth::BackingOff { .. } | Growth::BreakerOpen { .. } | Growth::Barred { .. }
        )
    }

    /// Whether `max` keeps it from growing.
    #[must_use]
    pub fn is_at_max(&self) -> bool {
        matches!(self.first.growth, Growth::MaxReached)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        self.burst.as_ref().map_or(Ok(()), |burst| write!(f, "; burst: {burst}"))
    }
}
