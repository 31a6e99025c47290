//! A backend around the one under test that records its boots.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flame_wire::ids::RunnerRef;
use flame_wire::parent::HostKind;
use flame_wire::sync::{Mutex, MutexGuard};
use flame_wire::time::millis;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::backend::{
    Backend, BackendError, BootFailure, BootSpec, Death, Instance, InstanceEvent, Instances,
    PoolInfo,
};

/// How long a misdirected runner tries to reach the address that it was given: longer than any
/// check.
const MISDIRECTED_FAILSAFE: Duration = Duration::from_secs(3600);

/// A boot: what the pool asked for, and the instance that the backend returned.
#[derive(Debug, Clone)]
pub(super) struct RecordedBoot {
    pub(super) runner: RunnerRef,
    pub(super) flame_parent: String,
    pub(super) instance: Instance,
}

/// A backend that records its boots and their ends. Clones share the record.
#[derive(Clone)]
pub(super) struct RecordingBackend {
    backend: Arc<dyn Backend>,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    /// Set when the pool has started the backend.
    instances: OnceLock<Arc<dyn Instances>>,
    boots: watch::Sender<Vec<RecordedBoot>>,
    misdirect_to: Mutex<Option<String>>,
}

impl Record {
    fn misdirect_to(&self) -> MutexGuard<'_, Option<String>> {
        self.misdirect_to.lock()
    }

    /// The spec, changed if boots are misdirected.
    fn misdirect(&self, spec: BootSpec) -> Result<BootSpec, BootFailure> {
        let Some(address) = self.misdirect_to().clone() else { return Ok(spec) };
        let mut parent = spec.parent;
        parent.addresses = vec![address];
        parent.limits.failsafe_ms = millis(MISDIRECTED_FAILSAFE);
        BootSpec::new(parent, Arc::new(|| std::future::pending().boxed()))
            .map_err(|error| BootFailure::new(error.to_string()))
    }
}

impl RecordingBackend {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, record: Arc::default() }
    }

    /// Makes the runners that are booted from now on connect to this address, instead of the pool.
    pub(super) fn misdirect(&self, address: String) {
        *self.record.misdirect_to() = Some(address);
    }

    /// The instances of the backend under test, to use them without the pool's knowledge; `None`
    /// before the pool has started the backend.
    pub(super) fn instances(&self) -> Option<Arc<dyn Instances>> {
        self.record.instances.get().cloned()
    }

    /// All boots so far.
    pub(super) fn boots(&self) -> Vec<RecordedBoot> {
        self.record.boots.borrow().clone()
    }

    /// Waits for the first boot that has succeeded.
    pub(super) async fn first_boot(&self) -> Option<RecordedBoot> {
        let mut boots = self.record.boots.subscribe();
        let boots = boots.wait_for(|boots| !boots.is_empty()).await.ok()?;
        boots.first().cloned()
    }
}

/// [`starts_this_executable`](Backend::starts_this_executable) stays `false`: a program that runs
/// the suite has reached `App::run`.
impl Backend for RecordingBackend {
    fn kind(&self) -> HostKind {
        self.backend.kind()
    }

    fn boot_timeout(&self) -> Duration {
        self.backend.boot_timeout()
    }

    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        self.backend.address()
    }

    fn supports_code_sync(&self) -> bool {
        self.backend.supports_code_sync()
    }

    fn connection_advice(&self) -> Option<&str> {
        self.backend.connection_advice()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move {
            let instances = self.backend.start(pool).await?;
            // Each check starts one pool.
            let _ = self.record.instances.set(instances.clone());
            let record = self.record.clone();
            Ok(Arc::new(RecordingInstances { instances, record }) as Arc<dyn Instances>)
        }
        .boxed()
    }
}

struct RecordingInstances {
    instances: Arc<dyn Instances>,
    record: Arc<Record>,
}

impl Instances for RecordingInstances {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            let spec = self.record.misdirect(spec)?;
            let (runner, flame_parent) = (spec.runner, spec.flame_parent.to_string());
            let instance = self.instances.remote_boot(spec).await?;
            let boot = RecordedBoot { runner, flame_parent, instance: instance.clone() };
            self.record.boots.send_modify(|boots| boots.push(boot));
            Ok(instance)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.instances.stop(instance)
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.instances.watch(instance)
    }

    fn longest_call(&self) -> Option<Duration> {
        self.instances.longest_call()
    }

    fn notify(&self, instance: &Instance, event: InstanceEvent) {
        self.instances.notify(instance, event);
    }
}
