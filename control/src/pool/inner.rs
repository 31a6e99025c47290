//! The part of a pool that all its handles share: its lanes.

use std::sync::Arc;
use std::time::Duration;

use flame_wire::ids::{CallId, RunnerRef};

use super::burst::BurstLane;
use super::events::PoolEvent;
use super::lane::{Lane, LaneRole, now};
use super::shared::PoolShared;
use super::state::Event;
use crate::cost::{Budget, Costs};
use crate::error::UnknownRunner;
use crate::metrics::LaneRecorder;

/// A pool. Lives as long as one of its lanes has work to do, even if no handle is left.
pub(crate) struct PoolInner {
    pub(crate) shared: Arc<PoolShared>,
    pub(crate) primary: Arc<Lane>,
    /// A second lane, for calls that find no free slot on the primary one.
    pub(crate) burst: Option<BurstLane>,
    /// The default of [`Work::timeout`](crate::Work::timeout).
    pub(crate) timeout: Option<Duration>,
    pub(crate) budget: Option<Budget>,
}

/// How a runner is to end on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunnerEnding {
    /// When the calls on it have ended.
    Drain,
    /// At once.
    Stop,
}

impl PoolInner {
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// The primary lane, and the burst lane if there is one.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        std::iter::once(&self.primary).chain(self.burst.as_ref().map(|burst| &burst.lane))
    }

    /// The lane of a runner that serves calls.
    pub(crate) fn lane_of(&self, runner: RunnerRef) -> LaneRole {
        let on_burst = |burst: &BurstLane| burst.lane.connection(runner).is_some();
        if self.burst.as_ref().is_some_and(on_burst) { LaneRole::Burst } else { LaneRole::Primary }
    }

    /// The recorder of a lane's metrics.
    pub(crate) fn recorder(&self, lane: LaneRole) -> &LaneRecorder {
        &self.lane(lane).recorder
    }

    /// The lane of this role, or the primary one if there is no other.
    pub(crate) fn lane(&self, role: LaneRole) -> &Lane {
        match (role, &self.burst) {
            (LaneRole::Burst, Some(burst)) => &burst.lane,
            _ => &self.primary,
        }
    }

    /// The costs of all lanes together.
    pub(crate) fn costs(&self) -> Costs {
        let now = now();
        let (mut total, mut per_hour, mut calls) = (0.0, 0.0, 0);
        for lane in self.lanes() {
            let of_lane = lane.recorder.costs(now);
            total += of_lane.0;
            per_hour += of_lane.1;
            calls += of_lane.2;
        }
        Costs::new(total, per_hour, calls)
    }

    pub(crate) fn shutdown_timeout(&self) -> Duration {
        self.primary.config.shutdown_timeout
    }

    /// How deep calls may nest.
    pub(crate) fn max_depth(&self) -> u8 {
        self.primary.config.runner_limits.max_depth
    }

    /// The longest time that a call can have, if the backend limits it.
    pub(crate) fn longest_call(&self) -> Option<Duration> {
        self.primary.instances.longest_call()
    }

    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.shared.runtime
    }

    /// Sends an event to all that listen to the pool's events.
    pub(crate) fn send_event(&self, event: PoolEvent) {
        self.shared.events.send(event);
    }

    pub(crate) fn has_event_listeners(&self) -> bool {
        self.shared.events.has_listeners()
    }

    /// Lets one runner end, on request.
    pub(crate) fn end_runner(
        &self,
        runner: RunnerRef,
        ending: RunnerEnding,
    ) -> Result<(), UnknownRunner> {
        let request = |runner| match ending {
            RunnerEnding::Drain => Event::DrainRequested { runner },
            RunnerEnding::Stop => Event::StopRequested { runner },
        };
        let known = self.lanes().any(|lane| lane.handle_for(runner, request));
        if known { Ok(()) } else { Err(UnknownRunner { runner, pool: self.name().to_owned() }) }
    }

    /// Begins to drain, or shortens the window of a pool that drains already.
    pub(crate) fn begin_drain(&self, window: Duration) {
        self.lanes().for_each(|lane| lane.begin_drain(window));
    }

    /// Waits until the pool has drained, and nothing is left of any runner.
    pub(crate) async fn drained(&self) {
        for lane in self.lanes() {
            lane.drained().await;
        }
    }

    /// The call that a runner serves, if it serves exactly one.
    pub(crate) fn only_call_on(&self, runner: RunnerRef) -> Option<CallId> {
        self.lanes().find_map(|lane| lane.connection(runner))?.only_call()
    }
}
