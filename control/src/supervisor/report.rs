//! Reports the events of one runner to its pool. No other module does this.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flame_link::LinkEnd;
use flame_runner_shim::log_writer;
use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{InstanceDeath, spans};
use crate::backend::{BootFailure, Instance, InstanceEvent};
use crate::metrics::BootPhase;
use crate::pool::events::PoolEvent;
use crate::pool::lane::{Lane, RunnerConnection};
use crate::pool::state::{Event, RunnerId};

/// How long a backend may take to report the parts of a boot.
const BOOT_TIMES_TIMEOUT: Duration = Duration::from_secs(60);

/// Reports what happens to one runner. The supervisor and the link's handler share it.
#[derive(Clone)]
pub(super) struct RunnerReport {
    pub(super) lane: Arc<Lane>,
    id: RunnerId,
    pub(super) runner: RunnerRef,
    link_status: watch::Sender<LinkStatus>,
}

/// What the handler of a runner's link has seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinkStatus {
    pub(super) said_goodbye: bool,
    /// Whether the link has a socket.
    pub(super) connected: bool,
}

impl RunnerReport {
    pub(super) fn new(lane: Arc<Lane>, id: RunnerId, runner: RunnerRef) -> Self {
        let (link_status, _) = watch::channel(LinkStatus { said_goodbye: false, connected: true });
        Self { lane, id, runner, link_status }
    }

    pub(super) fn link_status(&self) -> watch::Receiver<LinkStatus> {
        self.link_status.subscribe()
    }

    pub(super) fn has_said_goodbye(&self) -> bool {
        self.link_status.borrow().said_goodbye
    }

    pub(super) fn boot_failed(&self, failure: BootFailure) {
        self.lane.handle(Event::BootFailed { runner: self.id, failure: Arc::new(failure) });
    }

    /// The platform has accepted an instance, which was requested at `requested`.
    pub(super) fn instance_began(&self, requested: Instant) {
        self.lane.recorder.cost.lock().began(self.id, requested.into_std());
    }

    /// The runner has connected. Its instance was requested at `began`, and `accepted` by its
    /// platform. A task asks the backend for the parts of the time after that, because the platform
    /// may report them later. `connect` is the context of the span `flame.connect`.
    pub(super) fn booted(
        &self,
        instance: &Instance,
        began: Instant,
        accepted: Instant,
        connect: Option<TraceContext>,
    ) {
        let (request, rest) = (accepted - began, accepted.elapsed());
        let accepted_at = ago(rest);
        let times = self.lane.instances.boot_times(instance);
        let (recorder, id) = (self.lane.recorder.clone(), self.id);
        self.lane.shared.runtime.spawn(async move {
            let times = timeout(BOOT_TIMES_TIMEOUT, times).await.unwrap_or_default();
            if let Some(provision) = times.provision {
                recorder.cost.lock().provisioned(id, (accepted + provision).into_std());
            }
            if let (Some(connect), Some(accepted)) = (connect, accepted_at) {
                spans::add_parts(connect, accepted, &times);
            }
            let durations = &recorder.boot_duration;
            durations.record(BootPhase::Request, request);
            for (phase, part) in [
                (BootPhase::Provision, times.provision),
                (BootPhase::Pull, times.pull),
                (BootPhase::Start, times.start),
                // The platform's clock may differ a little from this one.
                (BootPhase::Connect, Some(rest.saturating_sub(times.total()))),
            ] {
                if let Some(part) = part {
                    durations.record(phase, part);
                }
            }
        });
    }

    /// `boot` is the trace of its boot.
    pub(super) fn up(&self, connection: RunnerConnection, boot: Option<TraceContext>) {
        self.lane.runner_up(self.id, connection, boot);
    }

    pub(super) fn idle(&self, idle_for: Duration) {
        self.lane.handle(Event::IdleProposed { runner: self.id, idle_for });
    }

    pub(super) fn draining(&self) {
        self.lane.handle(Event::ShutdownAnnounced { runner: self.id });
    }

    pub(super) fn goodbye(&self) {
        self.link_status.send_modify(|status| status.said_goodbye = true);
    }

    /// The link's socket is lost (`false`), or the runner is there on a new one (`true`).
    pub(super) fn connected(&self, connected: bool) {
        if connected {
            self.lane.shared.listener.admission().confirm_welcome(self.runner);
        }
        self.link_status.send_modify(|status| status.connected = connected);
    }

    /// The link is over. A runner that has said goodbye shuts down; any other is lost.
    pub(super) fn link_ended(&self, end: &LinkEnd) {
        if self.has_said_goodbye() {
            return self.draining();
        }
        let (runner, end) = (self.runner, end.clone());
        log_writer::event(move || tracing::warn!(%runner, %end, "a runner was lost"));
        self.lost();
    }

    /// The runner is of no more use; its instance may still run. Reporting this twice is harmless.
    pub(super) fn lost(&self) {
        self.lane.handle(Event::RunnerLost { runner: self.id });
    }

    /// Tells the backend what the pool has seen of its instance.
    pub(super) fn instance_event(&self, instance: &Instance, event: InstanceEvent) {
        self.lane.instances.notify(instance, event);
    }

    /// The instance could not be stopped; `None` if the backend has not returned one.
    pub(super) fn stop_failed(&self, instance: Option<&Instance>, why: String) {
        let runner = self.runner;
        let instance = instance.map(|instance| instance.id.clone()).unwrap_or_default();
        let (id, reason) = (instance.clone(), why.clone());
        log_writer::event(move || {
            tracing::error!(
                %runner,
                instance = id,
                why = reason,
                "an instance could not be stopped, and may still run"
            );
        });
        self.lane.events().send(PoolEvent::StopFailed { runner, instance, why });
    }
}

/// The time of day this long ago; `None` if the clock can't represent it.
#[expect(clippy::disallowed_methods, reason = "a time for traces, which nothing is decided by")]
fn ago(age: Duration) -> Option<SystemTime> {
    SystemTime::now().checked_sub(age)
}

/// The supervision of a runner. When it ends, the pool learns that nothing is left of the runner,
/// even if a panic or the end of the runtime cuts the supervision short.
pub(super) struct Supervision {
    report: RunnerReport,
    /// The instance, unless it is gone.
    instance: Option<Instance>,
    finished: bool,
}

impl Supervision {
    pub(super) fn new(report: RunnerReport) -> Self {
        Self { report, instance: None, finished: false }
    }

    /// Remembers the instance, and watches for its death.
    pub(super) fn watch(&mut self, instance: &Instance) -> InstanceDeath {
        self.instance = Some(instance.clone());
        self.report.lane.instances.watch(instance).shared()
    }

    /// The instance is dead, or has been reported as impossible to stop.
    pub(super) fn instance_is_gone(&mut self) {
        self.instance = None;
    }

    pub(super) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        let lane = &self.report.lane;
        if !self.finished {
            if !std::thread::panicking() {
                // The pool's runtime has ended, so no other runner should boot.
                lane.handle(Event::DrainPool);
            }
            self.report.lost();
            if let Some(instance) = &self.instance {
                // Nothing can await it any more; many backends stop an instance at the first poll.
                let _ = lane.instances.stop(instance).now_or_never();
            }
        }
        lane.runner_gone(self.report.id);
    }
}
