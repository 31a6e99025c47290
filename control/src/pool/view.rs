//! Snapshots of a pool, and explanations of its size.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flame_wire::ids::RunnerRef;
use flame_wire::parent::HostKind;

use super::inner::PoolInner;
use super::lane::Lane;
use super::state::{Growth, RunnerSnapshot, StateExplanation, StateSnapshot};
use crate::backend::BootFailure;

pub use super::state::RunnerState;

/// The state of a pool at one moment, of both backends together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// The runners, in the order in which they were booted; those of the burst backend come last.
    pub runners: Vec<RunnerView>,
    /// Calls that wait for a slot.
    pub queued: usize,
    /// Runners that are up.
    pub up: u32,
    /// Boots under way.
    pub booting: u32,
    /// Slots in use, on all runners together.
    pub leased: usize,
    /// Slots that are free on the runners that are up.
    pub free: u64,
}

/// The state of a runner at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunnerView {
    /// The runner.
    pub runner: RunnerRef,
    /// The kind of host that it runs on.
    pub host: HostKind,
    /// The instance's id, assigned by its backend, once the runner is up.
    pub instance: Option<String>,
    /// Its process id on its host, once the runner is up.
    pub pid: Option<u32>,
    /// The phase of its life.
    pub state: RunnerState,
    /// The time since its boot began.
    pub age: Duration,
    /// Calls that it can serve at a time.
    pub slots: u32,
    /// Slots in use.
    pub leases: u32,
    /// Calls that it has finished.
    pub calls_done: u64,
}

pub(crate) fn snapshot(pool: &PoolInner, now: Instant) -> Snapshot {
    let lanes = pool.lanes().map(|lane| lane_snapshot(lane, now));
    lanes
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

fn lane_snapshot(lane: &Lane, now: Instant) -> Snapshot {
    let StateSnapshot { runners, queued, up, booting, leased, free, slots } =
        lane.read(|state| state.snapshot());
    let host = lane.backend.kind();
    let view = |snapshot: RunnerSnapshot| {
        let (runner, connection) = lane.runner(snapshot.id)?;
        let (instance, pid) =
            connection.map(|connection| (connection.instance, connection.pid)).unzip();
        Some(RunnerView {
            runner,
            host,
            instance,
            pid: pid.flatten(),
            state: snapshot.state,
            age: now.saturating_duration_since(snapshot.boot_began),
            slots,
            leases: snapshot.leases,
            calls_done: snapshot.returned,
        })
    };
    let runners = runners.into_iter().filter_map(view).collect();
    Snapshot { runners, queued, up, booting, leased, free }
}

pub(crate) fn explain(pool: &PoolInner, now: Instant) -> Explanation {
    let explain = |lane: &Lane| lane.read(|state| state.explain(now));
    Explanation {
        primary: explain(&pool.primary),
        burst: pool.burst.as_ref().map(|burst| explain(&burst.lane)),
    }
}

/// Why a pool grows, or does not. `Display` says it in a sentence, with a second one for the burst
/// backend. The methods answer for the primary backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    primary: StateExplanation<Arc<BootFailure>>,
    burst: Option<StateExplanation<Arc<BootFailure>>>,
}

impl Explanation {
    /// Whether the pool needs more runners than are up, for calls, `min` or `min_free_slots`. Also
    /// `true` while the pool rejects every call that needs a boot, because boots keep failing or
    /// are blocked.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        !matches!(self.primary.growth, Growth::NoUnmetDemand | Growth::Draining)
    }

    /// Whether no runner boots, because boots have failed, or because this process has not reached
    /// [`App::run`](crate::App::run) yet.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        matches!(
            self.primary.growth,
            Growth::BackingOff { .. } | Growth::BreakerOpen { .. } | Growth::Blocked { .. }
        )
    }

    /// Whether the pool needs more runners, and `max` is reached.
    #[must_use]
    pub fn is_at_max(&self) -> bool {
        matches!(self.primary.growth, Growth::MaxReached)
    }

    /// Whether the pool needs more runners, and its budget pays for no more.
    #[must_use]
    pub fn is_over_budget(&self) -> bool {
        matches!(self.primary.growth, Growth::OverBudget { .. })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.primary.fmt(f)?;
        self.burst.as_ref().map_or(Ok(()), |burst| write!(f, "; burst: {burst}"))
    }
}
