//! The containers of one pool: boots them, and passes stops and watches to the [`Monitor`].

use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use flame_runner_shim::host::docker::container_name;
use flame_wire::backoff::Backoff;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use super::failure::EngineError;
use super::monitor::Monitor;
use super::template::Template;
use crate::backend::owner::Owner;
use crate::backend::sweep::ends_by;
use crate::backend::{BackendError, BootFailure, BootSpec, Death, Instance, Instances};

/// The delays between the attempts at a request of a boot, as while the engine restarts.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_secs(2)).with_jitter(0.5);

/// See the [module](self).
pub(super) struct DockerInstances {
    pub(super) template: Template,
    pub(super) owner: Owner,
    pub(super) monitor: Arc<Monitor>,
    /// The longest time for the requests of a boot.
    pub(super) boot_limit: Duration,
    /// The longest time that a container may live from its start, if the pool limits it.
    pub(super) max_age: Option<Duration>,
    /// The tasks that run the monitor and the sweeper.
    pub(super) background: Vec<JoinHandle<()>>,
}

impl Drop for DockerInstances {
    fn drop(&mut self) {
        self.background.iter().for_each(JoinHandle::abort);
        self.monitor.remove_all();
    }
}

impl DockerInstances {
    async fn boot(&self, spec: BootSpec) -> Result<Instance, BootFailure> {
        let (template, owner) = (&self.template, &self.owner);
        let ends_by = ends_by(self.max_age);
        let container = template.container(owner, spec.runner, ends_by, &spec.flame_parent);
        let name = container_name(spec.runner);
        self.monitor.begin(&name, spec.runner);
        match self.create_and_start(&name, &container).await {
            Ok(()) => {
                self.monitor.started(&name);
                Ok(Instance::new(name))
            }
            Err((step, error)) => {
                self.monitor.boot_failed(&name, error.may_pass()).await;
                Err(error.into_boot_failure(step))
            }
        }
    }

    /// Both requests may be repeated: the name makes sure that there is one container, and starting
    /// a container that runs does nothing.
    async fn create_and_start(
        &self,
        name: &str,
        container: &ContainerCreateBody,
    ) -> Result<(), (&'static str, EngineError)> {
        let deadline = Instant::now() + self.boot_limit;
        let engine = &self.monitor.engine;
        let create = |limit| engine.create(name, container, limit);
        let is_created = |error: &EngineError| error.is_name_taken();
        let creating = until_done(deadline, create, is_created);
        let created = creating.instrument(tracing::debug_span!("flame.boot.create")).await;
        created.map_err(|error| ("creating the container", error))?;
        let start = |limit| engine.start(name, limit);
        let starting = until_done(deadline, start, |_| false);
        let started = starting.instrument(tracing::debug_span!("flame.boot.start")).await;
        started.map_err(|error| ("starting the container", error))
    }
}

/// Makes a request until it succeeds, or fails with an error that does not pass, or the deadline is
/// near. `is_done` recognises the error that says that an earlier attempt was carried out.
async fn until_done<F: Future<Output = Result<(), EngineError>>>(
    deadline: Instant,
    request: impl Fn(Duration) -> F,
    is_done: impl Fn(&EngineError) -> bool,
) -> Result<(), EngineError> {
    let mut failures = 0;
    loop {
        let Err(error) = request(deadline.saturating_duration_since(Instant::now())).await else {
            return Ok(());
        };
        if failures > 0 && is_done(&error) {
            return Ok(());
        }
        failures += 1;
        let retry_at = Instant::now() + BACKOFF.pause(failures, rand::random());
        if !error.may_pass() || retry_at >= deadline {
            return Err(error);
        }
        sleep_until(retry_at).await;
    }
}

impl Instances for DockerInstances {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        self.boot(spec).boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.monitor.stop(&instance.id).boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.monitor.containers.watch(instance)
    }
}
