//! Runners that know several addresses of their parent.

use std::sync::Arc;
use std::time::Duration;

use flame_aws::HostKind;
use flame_aws::backend::{
    Backend, BackendError, BootFailure, BootSpec, Death, Instance, Instances, PoolInfo, Process,
};
use flame_tests::demo::gates::{self, Gate};
use flame_tests::process::{drains_cleanly, pids};
use flame_tests::proxy::{Network, Proxy, at_free_address};
use flame_tests::{Test, demo, process_pool, tests};
use flame_wire::parent::FlameParent;
use futures_util::future::BoxFuture;

pub(crate) fn tests() -> Vec<Test> {
    tests![a_call_resumes_through_another_address_and_runs_once]
}

/// A backend of child processes whose runners get one more address of their parent.
struct OneMoreAddress {
    inner: Process,
    address: String,
}

struct OneMoreAddressInstances {
    inner: Arc<dyn Instances>,
    address: String,
}

impl Backend for OneMoreAddress {
    fn kind(&self) -> HostKind {
        self.inner.kind()
    }

    fn boot_timeout(&self) -> Duration {
        self.inner.boot_timeout()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        Box::pin(async move {
            let (inner, address) = (self.inner.start(pool).await?, self.address.clone());
            Ok(Arc::new(OneMoreAddressInstances { inner, address }) as Arc<dyn Instances>)
        })
    }
}

impl Instances for OneMoreAddressInstances {
    fn remote_boot(&self, mut spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        let mut parent = FlameParent::decode(&spec.flame_parent).expect("the pool encoded it");
        parent.addresses.push(self.address.clone());
        spec.flame_parent = parent.encode().expect("the address is valid");
        self.inner.remote_boot(spec)
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.stop(instance)
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.inner.watch(instance)
    }
}

async fn a_call_resumes_through_another_address_and_runs_once() {
    let (pool, first, second) = at_free_address(|address| async move {
        let first = Proxy::start(address, 1).await;
        let second = Proxy::start(address, 2).await;
        second.set(Network::Down);
        let backend = OneMoreAddress { inner: Process::new(), address: second.address() };
        let pool = process_pool("test").min(1).max(1).backend(backend);
        Ok((pool.listen(address).advertise(first.address()).start().await?, first, second))
    })
    .await;
    pool.ready().await;
    let before = pids(&pool);
    let (mut gate, begun, open) = Gate::new();
    let gated = tokio::spawn(pool.call(gates::gated(begun, open)));
    gate.entered().await;
    assert_eq!((first.connections(), second.connections()), (1, 0));
    // Its port is closed from now on, as if the parent had moved.
    drop(first);
    let during = tokio::spawn(pool.call(demo::tally(1, demo::bytes(100_000))));
    second.set(Network::Normal);
    assert_eq!(during.await.unwrap().unwrap().0, 1);
    gate.open();
    assert_eq!(gated.await.unwrap().unwrap().unwrap(), before[0]);
    assert_eq!(second.connections(), 1);
    // A call that had run twice would be counted twice.
    assert_eq!(pool.call(demo::tallied()).await.unwrap(), [(1, 1)]);
    assert_eq!(pids(&pool), before, "no runner was lost");
    drains_cleanly(&pool, &before).await;
}
