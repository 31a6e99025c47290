//! A platform that boots runners on hosts of the simulation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flame_aws::HostKind;
use flame_aws::backend::{
    Backend, BackendError, BootFailure, BootSpec, Death, Instance, InstanceTable, Instances,
    PoolInfo,
};
use flame_runner_shim::Connect;
use flame_runner_shim::build_id::build_id;
use flame_runner_shim::host::LocalHost;
use flame_runner_shim::runner::Runner;
use flame_wire::FlameParent;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;

/// How long the platform's API takes to answer.
const API_TIME: std::ops::Range<u64> = 20..500;

/// Something that the pool has asked for, and that the simulation has yet to do.
pub(crate) enum Request {
    Boot(Instance, Box<FlameParent>),
    Stop(Instance),
}

/// The platform.
#[derive(Clone)]
pub(crate) struct Platform(Arc<PlatformState>);

struct PlatformState {
    requests: Mutex<VecDeque<Request>>,
    instances: InstanceTable<()>,
    random: Mutex<StdRng>,
    /// How many of a hundred requests fail.
    failures: Mutex<u32>,
}

impl Platform {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(PlatformState {
            requests: Mutex::default(),
            instances: InstanceTable::new(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            failures: Mutex::new(0),
        }))
    }

    pub(crate) fn take_requests(&self) -> VecDeque<Request> {
        std::mem::take(&mut *self.0.requests.lock().expect("nothing panics with the lock"))
    }

    /// Lets this many of a hundred requests fail.
    pub(crate) fn set_failures(&self, percent: u32) {
        *self.0.failures.lock().expect("nothing panics with the lock") = percent;
    }

    /// Tells the pool that an instance is dead.
    pub(crate) fn report_death(&self, instance: &Instance) {
        self.0.instances.record_death(instance, Death::new("its process is gone"));
    }

    fn request(&self, request: Request) {
        self.0.requests.lock().expect("nothing panics with the lock").push_back(request);
    }

    /// A call of the platform's API. Returns whether it succeeds.
    async fn api_call(&self) -> bool {
        let failures = *self.0.failures.lock().expect("nothing panics with the lock");
        let (time, succeeds) = {
            let mut random = self.0.random.lock().expect("nothing panics with the lock");
            (random.random_range(API_TIME), random.random_range(0..100) >= failures)
        };
        tokio::time::sleep(Duration::from_millis(time)).await;
        succeeds
    }
}

impl Backend for Platform {
    fn kind(&self) -> HostKind {
        HostKind::Local
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn supports_code_sync(&self) -> bool {
        false
    }

    fn start(&self, _: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async { Ok(Arc::new(self.clone()) as Arc<dyn Instances>) }.boxed()
    }
}

impl Instances for Platform {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            if !self.api_call().await {
                return Err(BootFailure::new("the platform has no capacity"));
            }
            let parent = FlameParent::decode(&spec.flame_parent)
                .map_err(|error| BootFailure::new(error.to_string()))?;
            let instance = Instance::new(format!("instance of {}", spec.runner));
            self.0.instances.insert(instance.clone(), ());
            self.request(Request::Boot(instance.clone(), Box::new(parent)));
            Ok(instance)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        async move {
            if !self.api_call().await {
                return Err(BackendError::new("the platform did not answer"));
            }
            self.request(Request::Stop(instance.clone()));
            Ok(())
        }
        .boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.0.instances.watch(instance)
    }
}

/// The `main` of a runner's process. Signals are sent through the channel.
pub(crate) async fn run_runner(
    instance: Instance,
    parent: FlameParent,
    signals: mpsc::UnboundedReceiver<i32>,
) {
    let connect =
        Connect::Dial { addresses: parent.addresses.clone(), fingerprint: parent.fingerprint };
    let runner = Runner {
        parent,
        host: Arc::new(LocalHost::new(instance.id)),
        build: build_id().expect("this executable has a build id").clone(),
        connect,
        idle_predicate: None,
        logs: None,
        signals,
    };
    runner.run().await;
}
