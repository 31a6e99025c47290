//! The machines of one pool: boots them, and passes stops and watches to the [`Monitor`].

use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::host::fly::machine_name;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use super::boot::Boot;
use super::monitor::Monitor;
use super::template::Template;
use crate::backend::owner::Owner;
use crate::backend::sweep::ends_by;
use crate::backend::{BackendError, BootFailure, BootSpec, Death, Instance, Instances};

/// See the [module](self).
pub(super) struct FlyInstances {
    pub(super) template: Template,
    pub(super) owner: Owner,
    pub(super) monitor: Arc<Monitor>,
    /// The longest time for the requests of a boot.
    pub(super) boot_limit: Duration,
    /// The longest time that a machine may live from its start, if the pool limits it.
    pub(super) max_age: Option<Duration>,
    /// The task that runs the sweeper.
    pub(super) sweeping: Option<JoinHandle<()>>,
}

impl Drop for FlyInstances {
    fn drop(&mut self) {
        self.sweeping.iter().for_each(JoinHandle::abort);
        self.monitor.destroy_all();
    }
}

impl FlyInstances {
    async fn boot(&self, spec: BootSpec) -> Result<Instance, BootFailure> {
        let runner = spec.runner;
        let ends_by = ends_by(self.max_age);
        let request = self.template.machine(&self.owner, runner, ends_by, &spec.flame_parent);
        let deadline = Instant::now() + self.boot_limit;
        let (name, runner) = (machine_name(runner), runner.to_string());
        let boot = Boot { name, runner, request, secret: spec.flame_parent, deadline };
        // A task of its own: the pool may drop this future, and then nobody would know whether
        // there is a machine.
        let monitor = self.monitor.clone();
        let (result, booted) = oneshot::channel();
        let booting = async move {
            let created = monitor.boot(boot).await;
            let instance = created.as_ref().ok().cloned();
            let (taken, is_taken) = oneshot::channel();
            let is_wanted = result.send((created, taken)).is_ok() && is_taken.await.is_ok();
            if let Some(instance) = instance.filter(|_| !is_wanted) {
                let _ = monitor.stop(&instance).await;
            }
        };
        self.monitor.runtime.spawn(booting.in_current_span());
        let Ok((created, taken)) = booted.await else {
            return Err(BootFailure::new("the runtime of the pool has ended"));
        };
        let _: Result<(), ()> = taken.send(());
        created
    }
}

impl Instances for FlyInstances {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        self.boot(spec).boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.monitor.stop(instance).boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.monitor.machines.watch(instance)
    }
}
