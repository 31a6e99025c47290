//! A Fly Machine. Fly sets the variable FLY_MACHINE_ID in each machine.
//! Source: <https://fly.io/docs/machines/runtime-environment/>.

use std::time::Duration;

use flame_wire::ids::RunnerRef;
use flame_wire::message::EndReason;
use flame_wire::parent::HostKind;
use futures_core::future::BoxFuture;

use super::docker::container_name;
use super::{Host, ProcessHost, stop_timeout};

/// The variable with the id of the machine that a process runs in.
pub const MACHINE_ID_ENV: &str = "FLY_MACHINE_ID";

/// A Fly Machine.
#[derive(Debug, Clone)]
pub struct FlyHost {
    id: String,
    stop_timeout: Option<Duration>,
}

impl FlyHost {
    /// The machine that this process runs in, which was created for this runner.
    #[must_use]
    pub fn new(runner: RunnerRef) -> Self {
        Self::of(std::env::var(MACHINE_ID_ENV).ok(), runner)
    }

    pub(super) fn of(id: Option<String>, runner: RunnerRef) -> Self {
        let id = id.unwrap_or_else(|| machine_name(runner));
        Self { id, stop_timeout: stop_timeout() }
    }
}

/// The name of the machine that is created for a runner. Names are unique within an app, so no
/// second machine is created for the same runner.
#[must_use]
pub fn machine_name(runner: RunnerRef) -> String {
    container_name(runner)
}

impl Host for FlyHost {
    fn kind(&self) -> HostKind {
        HostKind::Fly
    }

    /// The machine's id.
    fn instance(&self) -> String {
        self.id.clone()
    }

    /// The `stop_config.timeout` of the machine: the time from SIGTERM to SIGKILL when somebody
    /// stops it. `None` if the backend has not passed it.
    fn kills_after(&self) -> Option<Duration> {
        self.stop_timeout
    }

    /// Exits the process, as [`ProcessHost`] does: the machine stops with it, and Fly destroys the
    /// machine.
    fn shutdown(&self, reason: EndReason, code: i32) -> BoxFuture<'static, ()> {
        ProcessHost.shutdown(reason, code)
    }
}
