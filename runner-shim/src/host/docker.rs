//! A container of a Docker engine. Its name comes from the runner's ref, so that backend and runner
//! know the name without asking the engine: a container has no access to it.

use std::time::Duration;

use flame_wire::ids::RunnerRef;
use flame_wire::message::EndReason;
use flame_wire::parent::HostKind;
use futures_core::future::BoxFuture;

use super::{Host, ProcessHost, stop_timeout};

/// A container of a Docker engine.
#[derive(Debug, Clone)]
pub struct DockerHost {
    name: String,
    stop_timeout: Option<Duration>,
}

impl DockerHost {
    /// The container that was started for this runner.
    #[must_use]
    pub fn new(runner: RunnerRef) -> Self {
        Self { name: container_name(runner), stop_timeout: stop_timeout() }
    }
}

/// The name of the container that is started for a runner.
#[must_use]
pub fn container_name(runner: RunnerRef) -> String {
    format!("flame-{runner}")
}

impl Host for DockerHost {
    fn kind(&self) -> HostKind {
        HostKind::Docker
    }

    /// The container's name.
    fn instance(&self) -> String {
        self.name.clone()
    }

    /// The `StopTimeout` of the container: the time from SIGTERM to SIGKILL when somebody stops it.
    /// `None` if the backend has not passed it.
    fn kills_after(&self) -> Option<Duration> {
        self.stop_timeout
    }

    /// Exits the process, as [`ProcessHost`] does: the container ends with it.
    fn shutdown(&self, reason: EndReason, code: i32) -> BoxFuture<'static, ()> {
        ProcessHost.shutdown(reason, code)
    }
}
