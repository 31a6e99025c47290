//! A pool with a burst backend: this process serves calls beyond the slots of the child processes.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use flame_aws::backend::{
    Backend, BackendError, BootSpec, Death, Instance, Instances, Local, PoolInfo, Process,
};
use flame_aws::{BootFailure, CallError, HostKind, Pool, PoolError, PoolEvent, ShrinkReason};
use flame_tests::demo::gates::{self, Gate};
use flame_tests::process::{drains_cleanly, pids, until_gone};
use flame_tests::{TempDir, Test, Watcher, demo, process_pool, tests};
use futures_util::future::{BoxFuture, join_all};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_burst_backend_serves_while_the_first_backend_boots,
        the_burst_backend_takes_calls_beyond_max,
        a_call_that_may_outlast_burst_runners_waits_for_the_first_backend,
        a_child_without_a_timeout_waits_for_the_first_backend,
        a_burst_backend_that_cannot_boot_loses_no_call,
        draining_shuts_down_both_backends,
        dropping_the_pool_shuts_down_both_backends,
        a_burst_backend_is_checked_at_the_start,
    ]
}

const MINUTE: Duration = Duration::from_secs(60);

/// A backend whose runners last for a limited time, as on Lambda. They are tasks of this process.
struct ShortLivedBackend(Local);

struct ShortLivedInstances(Arc<dyn Instances>);

/// The longest call on it.
const LONGEST_CALL: Duration = Duration::from_secs(40);

fn short_lived() -> ShortLivedBackend {
    ShortLivedBackend(Local::new())
}

impl Backend for ShortLivedBackend {
    fn kind(&self) -> HostKind {
        self.0.kind()
    }

    fn boot_timeout(&self) -> Duration {
        self.0.boot_timeout()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        Box::pin(async move {
            let instances = self.0.start(pool).await?;
            Ok(Arc::new(ShortLivedInstances(instances)) as Arc<dyn Instances>)
        })
    }
}

impl Instances for ShortLivedInstances {
    fn longest_call(&self) -> Option<Duration> {
        Some(LONGEST_CALL)
    }

    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        self.0.remote_boot(spec)
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.0.stop(instance)
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.0.watch(instance)
    }
}

async fn up(watcher: &mut Watcher) {
    watcher.next(|event| matches!(event, PoolEvent::GrowEnd { up: true, .. }).then_some(())).await;
}

async fn the_burst_backend_serves_while_the_first_backend_boots() {
    let folder = TempDir::new();
    let gate = folder.path().join("gate");
    std::fs::write(&gate, "").unwrap();
    let slow = Process::new().env("DEMO_HANG_WHILE_EXISTS", &gate);
    let pool = process_pool("test").max(1).backend(slow).burst(short_lived());
    let pool = pool.idle_shutdown_after(Duration::from_millis(300)).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);

    assert_eq!(
        pool.call(demo::pid()).await.unwrap(),
        process::id(),
        "the burst backend serves the first call"
    );
    // A call on the burst backend makes the first backend boot a runner, but stays where it is.
    let (sender, receiver) = flame_aws::channel(1);
    let child = tokio::spawn(pool.call(demo::squares(receiver, flame_aws::channel(1).0)));
    up(&mut watcher).await;
    assert!(pool.explain().to_string().contains("; burst: 1 up"), "{}", pool.explain());
    std::fs::remove_file(&gate).unwrap();
    up(&mut watcher).await;
    assert_ne!(
        pool.call(demo::pid()).await.unwrap(),
        process::id(),
        "new calls go to the first backend"
    );

    drop(sender);
    child.await.unwrap().unwrap().unwrap();
    // The runner of the burst backend is idle now.
    let reason = watcher.next(|event| match event {
        PoolEvent::Shrink { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason.await, ShrinkReason::Idle);
    pool.drain().await;
}

/// Makes calls that are all under way at the same time. Returns the process that served each.
async fn served_at_once(pool: &Pool, calls: usize) -> Vec<u32> {
    let gated = join_all((0..calls).map(|_| async {
        let (mut gate, begun, open) = Gate::new();
        let call = tokio::spawn(pool.call(gates::gated(begun, open)));
        (gate.entered().await, gate, call)
    }));
    let mut served = Vec::new();
    for (pid, gate, call) in gated.await {
        gate.open();
        call.await.unwrap().unwrap().unwrap();
        served.push(pid);
    }
    served
}

async fn the_burst_backend_takes_calls_beyond_max() {
    let pool =
        process_pool("test").min(1).max(1).max_concurrency(1).burst(short_lived()).burst_max(3);
    let pool = pool.start().await.unwrap();
    pool.ready().await;
    let served = served_at_once(&pool, 4).await;
    let here = served.iter().filter(|pid| **pid == process::id()).count();
    assert_eq!(here, 3, "{served:?}");
    let snapshot = pool.snapshot();
    assert_eq!(snapshot.runners.iter().filter(|one| one.host == HostKind::Local).count(), 3);
    assert_eq!(snapshot.runners[0].host, HostKind::Process);
    pool.drain().await;
}

async fn a_call_that_may_outlast_burst_runners_waits_for_the_first_backend() {
    let pool = process_pool("test").burst(short_lived()).start().await.unwrap();
    assert_ne!(pool.call(demo::pid().timeout(MINUTE)).await.unwrap(), process::id());
    pool.drain().await;
    let alone = process_pool("test").backend(short_lived()).start().await.unwrap();
    let rejected = alone.call(demo::pid().timeout(MINUTE)).await.unwrap_err();
    let CallError::TooLong { after: MINUTE, limit: LONGEST_CALL } = rejected else {
        panic!("{rejected}")
    };
    assert_eq!(alone.call(demo::pid()).await.unwrap(), process::id());
    alone.drain().await;
}

async fn a_child_without_a_timeout_waits_for_the_first_backend() {
    let pool = process_pool("test").burst(short_lived()).start().await.unwrap();
    let child = pool.place_child(demo::forever()).await.unwrap();
    let hosts: Vec<_> = pool.snapshot().runners.iter().map(|one| (one.host, one.leases)).collect();
    assert_eq!(hosts, [(HostKind::Process, 1)]);
    drop(child);
    pool.drain().await;
}

async fn a_burst_backend_that_cannot_boot_loses_no_call() {
    let broken = Process::new().env("DEMO_EXIT_IN_BOOT", "7");
    let pool = process_pool("test").burst(broken).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    assert_eq!(pool.call(demo::double(4)).await.unwrap(), 8);
    let failure = watcher.next(|event| match event {
        PoolEvent::GrowEnd { failure: Some(failure), .. } => Some(failure.clone()),
        _ => None,
    });
    assert_eq!(failure.await.exit_code, Some(7));
    let pids = pids(&pool);
    drains_cleanly(&pool, &pids).await;
}

async fn draining_shuts_down_both_backends() {
    let pool = process_pool("test").min(1).max(1).max_concurrency(1).burst(Process::new());
    let pool = pool.start().await.unwrap();
    pool.ready().await;
    let served = served_at_once(&pool, 2).await;
    assert_ne!(served[0], served[1]);
    drains_cleanly(&pool, &served).await;
}

async fn dropping_the_pool_shuts_down_both_backends() {
    let pool = process_pool("test").min(1).max(1).max_concurrency(1).burst(Process::new());
    let pool = pool.start().await.unwrap();
    pool.ready().await;
    let calls = (0..2).map(|_| pool.call(demo::nap(Duration::from_millis(100))));
    let calls: Vec<_> = calls.collect();
    drop(pool);
    let served = join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>();
    // Calls that had a slot finish. Calls that had none get an error.
    match served {
        Ok(served) => until_gone(&served).await,
        Err(error) => assert!(matches!(error, CallError::Draining), "{error}"),
    }
}

async fn a_burst_backend_is_checked_at_the_start() {
    let missing = Process::new().program("/nowhere/to/be/found");
    let rejected = process_pool("test").burst(missing).start().await.unwrap_err();
    let PoolError::Backend(error) = rejected else { panic!("{rejected}") };
    assert!(error.to_string().contains("/nowhere/to/be/found"), "{error}");
}
