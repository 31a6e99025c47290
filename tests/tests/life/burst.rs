//! One pool over two backends: this process serves what its children have no slot for yet.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use flame_aws::backend::{
    Backend, BackendError, BootSpec, Death, Instance, Instances, Local, PoolInfo, Process,
};
use flame_aws::{BootFailure, CallError, HostKind, PoolError, PoolEvent, ShrinkReason};
use flame_tests::process::{ends_clean, pids, until_gone};
use flame_tests::{Folder, Test, Watcher, demo, process_pool, tests};
use futures_util::future::{BoxFuture, join_all};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_burst_serves_while_the_first_backend_boots,
        the_burst_takes_what_is_beyond_max,
        a_call_that_may_outlast_the_burst_waits_for_the_first_backend,
        what_has_no_time_limit_waits_for_the_first_backend,
        a_burst_that_cannot_boot_costs_no_call,
        draining_ends_both,
        dropping_the_pool_ends_both,
        a_burst_backend_is_checked_at_the_start,
    ]
}

const MINUTE: Duration = Duration::from_secs(60);

/// As Lambda: runners of this process that last only so long.
struct Brief(Local);

struct BriefInstances(Arc<dyn Instances>);

/// What a call may take on it.
const BRIEF: Duration = Duration::from_secs(40);

fn brief() -> Brief {
    Brief(Local::new())
}

impl Backend for Brief {
    fn kind(&self) -> HostKind {
        self.0.kind()
    }

    fn boot_timeout(&self) -> Duration {
        self.0.boot_timeout()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        Box::pin(async move {
            let instances = self.0.start(pool).await?;
            Ok(Arc::new(BriefInstances(instances)) as Arc<dyn Instances>)
        })
    }
}

impl Instances for BriefInstances {
    fn longest_call(&self) -> Option<Duration> {
        Some(BRIEF)
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

async fn the_burst_serves_while_the_first_backend_boots() {
    let folder = Folder::new();
    let gate = folder.path().join("gate");
    std::fs::write(&gate, "").unwrap();
    let slow = Process::new().env("DEMO_HANG_WHILE", &gate);
    let pool = process_pool("test").max(1).backend(slow).burst(brief());
    let pool = pool.idle_shutdown_after(Duration::from_millis(300)).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);

    assert_eq!(pool.call(demo::pid()).await.unwrap(), process::id(), "by the burst");
    // A call that is under way there is owed a boot of the first backend, and keeps its runner.
    let (sender, receiver) = flame_aws::channel(1);
    let child = tokio::spawn(pool.call(demo::squares(receiver, flame_aws::channel(1).0)));
    up(&mut watcher).await;
    assert!(pool.explain().to_string().contains("; burst: 1 up"), "{}", pool.explain());
    std::fs::remove_file(&gate).unwrap();
    up(&mut watcher).await;
    assert_ne!(pool.call(demo::pid()).await.unwrap(), process::id(), "new calls go there");

    drop(sender);
    child.await.unwrap().unwrap().unwrap();
    // The burst's runner has nothing more to do.
    let reason = watcher.next(|event| match event {
        PoolEvent::Shrink { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason.await, ShrinkReason::Idle);
    pool.drain().await;
}

async fn the_burst_takes_what_is_beyond_max() {
    let pool = process_pool("test").min(1).max(1).max_concurrency(1).burst(brief()).burst_max(3);
    let pool = pool.start().await.unwrap();
    pool.ready().await;
    let calls = (0..4).map(|_| pool.call(demo::nap(Duration::from_millis(200))));
    let served = join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    let here = served.iter().filter(|pid| **pid == process::id()).count();
    assert_eq!(here, 3, "{served:?}");
    let snapshot = pool.snapshot();
    assert_eq!(snapshot.runners.iter().filter(|one| one.host == HostKind::Local).count(), 3);
    assert_eq!(snapshot.runners[0].host, HostKind::Process);
    pool.drain().await;
}

async fn a_call_that_may_outlast_the_burst_waits_for_the_first_backend() {
    let pool = process_pool("test").burst(brief()).start().await.unwrap();
    assert_ne!(pool.call(demo::pid().timeout(MINUTE)).await.unwrap(), process::id());
    pool.drain().await;
    let alone = process_pool("test").backend(brief()).start().await.unwrap();
    let refused = alone.call(demo::pid().timeout(MINUTE)).await.unwrap_err();
    let CallError::TooLong { after: MINUTE, limit: BRIEF } = refused else { panic!("{refused}") };
    assert_eq!(alone.call(demo::pid()).await.unwrap(), process::id());
    alone.drain().await;
}

async fn what_has_no_time_limit_waits_for_the_first_backend() {
    let pool = process_pool("test").burst(brief()).start().await.unwrap();
    let child = pool.place_child(demo::forever()).await.unwrap();
    let hosts: Vec<_> = pool.snapshot().runners.iter().map(|one| (one.host, one.leases)).collect();
    assert_eq!(hosts, [(HostKind::Process, 1)]);
    drop(child);
    pool.drain().await;
}

async fn a_burst_that_cannot_boot_costs_no_call() {
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
    ends_clean(&pool, &pids).await;
}

async fn draining_ends_both() {
    let pool = process_pool("test").min(1).max(1).max_concurrency(1).burst(Process::new());
    let pool = pool.start().await.unwrap();
    pool.ready().await;
    let calls = (0..2).map(|_| pool.call(demo::nap(Duration::from_millis(100))));
    let served = join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert_ne!(served[0], served[1]);
    ends_clean(&pool, &served).await;
}

async fn dropping_the_pool_ends_both() {
    let pool = process_pool("test").min(1).max(1).max_concurrency(1).burst(Process::new());
    let pool = pool.start().await.unwrap();
    pool.ready().await;
    let calls = (0..2).map(|_| pool.call(demo::nap(Duration::from_millis(100))));
    let calls: Vec<_> = calls.collect();
    drop(pool);
    let served = join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>();
    // Those that had their slots go on; those that had none are told.
    match served {
        Ok(served) => until_gone(&served).await,
        Err(error) => assert!(matches!(error, CallError::Draining), "{error}"),
    }
}

async fn a_burst_backend_is_checked_at_the_start() {
    let missing = Process::new().program("/nowhere/to/be/found");
    let refused = process_pool("test").burst(missing).start().await.unwrap_err();
    let PoolError::Backend(error) = refused else { panic!("{refused}") };
    assert!(error.to_string().contains("/nowhere/to/be/found"), "{error}");
}
