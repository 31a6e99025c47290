//! The containers of one pool: boots them, and passes stops and watches to the [`Monitor`].

use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use flame_runner_shim::host::docker::container_name;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use super::failure::EngineError;
use super::monitor::Monitor;
use super::retry::retry;
use super::template::Template;
use crate::backend::owner::Owner;
use crate::backend::sweep::ends_by;
use crate::backend::{BackendError, BootFailure, BootSpec, Death, Instance, Instances};

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
        let time_left = || deadline.saturating_duration_since(Instant::now());
        let engine = &self.monitor.engine;
        let creating = retry(deadline, EngineError::may_pass, async |attempt| {
            match engine.create(name, container, time_left()).await {
                // An earlier attempt was carried out.
                Err(error) if attempt > 0 && error.is_name_taken() => Ok(()),
                created => created,
            }
        });
        let created = creating.instrument(tracing::debug_span!("flame.boot.create")).await;
        created.map_err(|error| ("creating the container", error))?;
        let starting = retry(deadline, EngineError::may_pass, |_| engine.start(name, time_left()));
        let started = starting.instrument(tracing::debug_span!("flame.boot.start")).await;
        started.map_err(|error| ("starting the container", error))
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
