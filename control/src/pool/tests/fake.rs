//! A backend that boots runners in this process, and misbehaves as a test asks.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flame_wire::parent::{FlameParent, HostKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::MINUTE;
use crate::BootFailure;
use crate::backend::{
    Backend, BackendError, BootSpec, Death, Instance, Instances, Local, PoolInfo,
};
use crate::cost::{InstancePrice, InstanceSize};
use crate::pool::{Pool, PoolBuilder};

/// A backend that boots runners in this process, as its [`Behaviour`] says.
#[derive(Clone, Default)]
pub(super) struct FakeBackend {
    behaviour: Behaviour,
    boots: Arc<AtomicU32>,
    pub(super) instances: Arc<Mutex<Vec<Instance>>>,
    local: Arc<Mutex<Option<Arc<dyn Instances>>>>,
    /// The FLAME_PARENT of the last runner.
    pub(super) parent: Arc<Mutex<Option<FlameParent>>>,
}

struct FakeInstances {
    backend: FakeBackend,
    local: Arc<dyn Instances>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Behaviour {
    pub(super) first_boot_panics: bool,
    pub(super) boots_fail: bool,
    /// How long `remote_boot` takes.
    pub(super) boot_takes: Duration,
    pub(super) watch_panics: bool,
    /// How long after its death an instance is reported dead.
    pub(super) death_delay: Duration,
    pub(super) stop: StopBehaviour,
    /// The price of an instance, in US dollars per hour; unknown if `None`.
    pub(super) per_hour: Option<f64>,
}

#[derive(Clone, Copy, Default)]
pub(super) enum StopBehaviour {
    #[default]
    Stops,
    /// Reports success, and stops nothing.
    DoesNothing,
    Panics,
}

impl Backend for FakeBackend {
    fn kind(&self) -> HostKind {
        HostKind::Local
    }

    fn boot_timeout(&self) -> Duration {
        Duration::MAX
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move {
            let local = Local::new().start(pool).await?;
            *self.local.lock().unwrap() = Some(local.clone());
            Ok(Arc::new(FakeInstances { backend: self.clone(), local }) as Arc<dyn Instances>)
        }
        .boxed()
    }
}

impl Instances for FakeInstances {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        let FakeBackend { parent, boots, behaviour, .. } = &self.backend;
        *parent.lock().unwrap() = FlameParent::decode(&spec.flame_parent).ok();
        let is_first = boots.fetch_add(1, Ordering::Relaxed) == 0;
        assert!(!(is_first && behaviour.first_boot_panics), "the first boot panics");
        async move {
            sleep(behaviour.boot_takes).await;
            if behaviour.boots_fail {
                return Err(BootFailure::new("every boot fails"));
            }
            let instance = self.local.remote_boot(spec).await?;
            self.backend.instances.lock().unwrap().push(instance.clone());
            Ok(instance)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        match self.backend.behaviour.stop {
            StopBehaviour::Stops => self.local.stop(instance),
            StopBehaviour::DoesNothing => async { Ok(()) }.boxed(),
            StopBehaviour::Panics => panic!("stopping panics"),
        }
    }

    fn size(&self) -> InstanceSize {
        let price = self.backend.behaviour.per_hour.map(InstancePrice::per_hour);
        price.map_or(InstanceSize::Unknown, InstanceSize::Priced)
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        assert!(!self.backend.behaviour.watch_panics, "watching panics");
        let (death, delay) = (self.local.watch(instance), self.backend.behaviour.death_delay);
        async move {
            let death = death.await;
            sleep(delay).await;
            death
        }
        .boxed()
    }
}

impl FakeBackend {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, ..Self::default() }
    }

    /// A pool of one runner with one slot.
    pub(super) fn pool(&self) -> PoolBuilder {
        Pool::builder("test").max(1).max_concurrency(1).timeout(MINUTE).backend(self.clone())
    }

    pub(super) fn boots(&self) -> u32 {
        self.boots.load(Ordering::Relaxed)
    }

    /// Whether an instance is dead.
    pub(super) fn is_dead(&self, instance: &Instance) -> bool {
        let local = self.local.lock().unwrap().clone().unwrap();
        local.watch(instance).now_or_never().is_some()
    }
}
