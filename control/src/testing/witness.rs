//! A backend around the one under test, that writes down what is booted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flame_wire::ids::RunnerRef;
use flame_wire::parent::{FlameParent, HostKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::backend::{Backend, BackendError, BootSpec, Death, Instance, PoolInfo};
use crate::error::BootFailure;

/// One that is led astray would wait so long before it ends by itself: longer than any check.
const ASTRAY_FAILSAFE: Duration = Duration::from_secs(3600);

/// A boot, as it was ordered and as it was taken.
#[derive(Debug, Clone)]
pub(super) struct Boot {
    pub(super) runner: RunnerRef,
    pub(super) flame_parent: String,
    pub(super) instance: Instance,
}

#[derive(Clone)]
pub(super) struct Witness {
    backend: Arc<dyn Backend>,
    boots: watch::Sender<Vec<Boot>>,
    astray: Arc<Mutex<Option<String>>>,
}

impl Witness {
    pub(super) fn of(backend: Arc<dyn Backend>) -> Self {
        Self { backend, boots: watch::Sender::default(), astray: Arc::default() }
    }

    /// From now on boots are told to dial this address, instead of the pool.
    pub(super) fn lead_astray(&self, address: String) {
        *self.astray() = Some(address);
    }

    /// The backend under test: what is asked of it here, the pool does not know.
    pub(super) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// What was booted so far.
    pub(super) fn boots(&self) -> Vec<Boot> {
        self.boots.borrow().clone()
    }

    /// Waits for the first boot that the backend has taken.
    pub(super) async fn first_boot(&self) -> Option<Boot> {
        let mut boots = self.boots.subscribe();
        let boots = boots.wait_for(|boots| !boots.is_empty()).await.ok()?;
        boots.first().cloned()
    }

    fn astray(&self) -> MutexGuard<'_, Option<String>> {
        self.astray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The order as it is passed on.
    fn passed_on(&self, mut spec: BootSpec) -> Result<BootSpec, BootFailure> {
        if let Some(address) = self.astray().clone() {
            let failed = |error: &dyn std::error::Error| BootFailure::new(error.to_string());
            let mut parent = FlameParent::decode(&spec.flame_parent).map_err(|e| failed(&e))?;
            parent.address = address;
            parent.limits.failsafe_ms =
                u64::try_from(ASTRAY_FAILSAFE.as_millis()).unwrap_or(u64::MAX);
            spec.flame_parent = parent.encode().map_err(|e| failed(&e))?;
            spec.in_memory = Arc::new(|| std::future::pending().boxed());
        }
        Ok(spec)
    }
}

impl Backend for Witness {
    fn kind(&self) -> HostKind {
        self.backend.kind()
    }

    fn boot_timeout(&self) -> Duration {
        self.backend.boot_timeout()
    }

    fn longest_call(&self) -> Option<Duration> {
        self.backend.longest_call()
    }

    fn init<'a>(&'a self, pool: &'a PoolInfo) -> BoxFuture<'a, Result<(), BackendError>> {
        self.backend.init(pool)
    }

    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            let spec = self.passed_on(spec)?;
            let (runner, flame_parent) = (spec.runner, spec.flame_parent.clone());
            let instance = self.backend.remote_boot(spec).await?;
            let boot = Boot { runner, flame_parent, instance: instance.clone() };
            self.boots.send_modify(|boots| boots.push(boot));
            Ok(instance)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.backend.stop(instance)
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.backend.watch(instance)
    }
}
