//! Boots that fail.

use std::sync::Arc;
use std::time::Duration;

use flame_aws::backend::{
    Backend, BackendError, BootSpec, Death, Instance, Instances, PoolInfo, Process,
};
use flame_aws::{BootFailure, BootFailureKind, CallError, HostKind, PoolEvent, TimeoutPhase};
use flame_tests::process::drains_cleanly;
use flame_tests::{TempDir, Test, Watcher, demo, process_pool, tests};
use futures_util::future::BoxFuture;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_failed_boot_reports_the_exit_code_and_the_last_lines,
        repeated_boot_failures_open_the_breaker,
        a_successful_boot_closes_the_breaker,
        a_runner_that_hangs_in_boot_fails_its_callers_and_is_killed,
        a_call_that_times_out_during_a_boot_says_so,
        a_missing_program_is_a_failed_boot,
        a_program_that_is_not_a_runner_is_a_failed_boot,
        draining_during_a_boot_kills_the_child,
        a_hanging_backend_fails_the_boot_and_its_late_instances_are_stopped,
        a_runner_that_connects_after_its_boot_was_given_up_exits,
    ]
}

const MINUTE: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::from_millis(1);

fn exits_in_boot() -> Process {
    Process::new().env("DEMO_EXIT_IN_BOOT", "7")
}

async fn a_failed_boot_reports_the_exit_code_and_the_last_lines() {
    let pool = process_pool("test").backend(exits_in_boot()).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert_eq!(failure.exit_code, Some(7));
    assert_eq!(failure.kind, BootFailureKind::Died);
    assert_eq!(failure.log_tail, ["the database is not there"]);
    let reported = watcher.next(|event| match event {
        PoolEvent::GrowEnd { failure, up: false, .. } => Some(failure.clone()),
        _ => None,
    });
    assert_eq!(reported.await, Some(failure));
    // The pool backs off: a call made now waits for the next boot, and gets its failure.
    let pause = watcher.next(|event| match event {
        PoolEvent::BackingOff { failures } => Some(*failures),
        _ => None,
    });
    assert_eq!(pause.await, 1);
    let failed = pool.call(demo::double(1)).await;
    assert!(matches!(failed, Err(CallError::BootFailed(_))), "{failed:?}");
    drains_cleanly(&pool, &[]).await;
}

async fn repeated_boot_failures_open_the_breaker() {
    let pool = process_pool("test").max(1).backend(exits_in_boot());
    let pool = pool.boot_backoff(AT_ONCE, AT_ONCE).boot_breaker(3, MINUTE);
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    for _ in 0..3 {
        let failed = pool.call(demo::double(1)).await;
        assert!(matches!(failed, Err(CallError::BootFailed(_))), "{failed:?}");
    }
    let opened = watcher.next(|event| match event {
        PoolEvent::BreakerOpened { failures } => Some(*failures),
        _ => None,
    });
    assert_eq!(opened.await, 3);
    let explanation = pool.explain();
    assert!(explanation.to_string().contains("the database is not there"), "{explanation}");
    // From now on calls fail at once with the same reason, and no runner is booted.
    for _ in 0..100 {
        let failed = pool.call(demo::double(1)).await;
        let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
        assert_eq!(failure.exit_code, Some(7));
        assert_eq!(failure.log_tail, ["the database is not there"]);
    }
    pool.drain().await;
    watcher.drained().await;
    let boots = watcher.seen.iter().filter(|e| matches!(e, PoolEvent::GrowStart { .. })).count();
    assert_eq!(boots, 3);
    assert!(every_boot_is_reported_once(&watcher.seen));
}

fn every_boot_is_reported_once(events: &[PoolEvent]) -> bool {
    let started = events.iter().filter_map(|event| match event {
        PoolEvent::GrowStart { runner, .. } => Some(*runner),
        _ => None,
    });
    let ended: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            PoolEvent::GrowEnd { runner, .. } => Some(*runner),
            _ => None,
        })
        .collect();
    started.eq(ended)
}

async fn a_successful_boot_closes_the_breaker() {
    let folder = TempDir::new();
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "").unwrap();
    let backend = Process::new().env("DEMO_EXIT_IF_EXISTS", &broken);
    let pool = process_pool("test").max(1).backend(backend);
    let pool = pool.boot_backoff(AT_ONCE, AT_ONCE).boot_breaker(1, Duration::from_millis(50));
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let failed = pool.call(demo::double(1)).await;
    assert!(matches!(failed, Err(CallError::BootFailed(_))), "{failed:?}");
    watcher.next(|e| matches!(e, PoolEvent::BreakerOpened { .. }).then_some(())).await;
    std::fs::remove_file(&broken).unwrap();
    let doubled = loop {
        match pool.call(demo::double(4)).await {
            Ok(doubled) => break doubled,
            // Each rejected call is an event, and the watcher keeps only so many.
            Err(CallError::BootFailed(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(doubled, 8);
    watcher.next(|e| matches!(e, PoolEvent::BreakerClosed).then_some(())).await;
    drains_cleanly(&pool, &[]).await;
}

async fn a_runner_that_hangs_in_boot_fails_its_callers_and_is_killed() {
    let folder = TempDir::new();
    let backend =
        Process::new().env("DEMO_HANG_IN_BOOT", "1").env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").max(1).backend(backend).boot_timeout(Duration::from_secs(1));
    let pool = pool.start().await.unwrap();
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert!(failure.reason.contains("boot timeout"), "{failure}");
    assert_eq!(failure.kind, BootFailureKind::TimedOut);
    let pids: Vec<u32> = folder
        .files()
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap().parse().unwrap())
        .collect();
    assert!(!pids.is_empty(), "no child was started");
    drains_cleanly(&pool, &pids).await;
}

async fn a_call_that_times_out_during_a_boot_says_so() {
    let backend = Process::new().env("DEMO_HANG_IN_BOOT", "1");
    let pool = process_pool("test").max(1).backend(backend).start().await.unwrap();
    let late = pool.call(demo::double(1).timeout(Duration::from_millis(100))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Boot, after, boot: None }) = late else {
        panic!("{late:?}")
    };
    assert_eq!(after, Duration::from_millis(100));
    drains_cleanly(&pool, &[]).await;
}

async fn a_missing_program_is_a_failed_boot() {
    let folder = TempDir::new();
    let program = folder.path().join("program");
    std::fs::copy("/bin/true", &program).unwrap();
    let backend = Process::new().program(&program);
    let pool = process_pool("test").backend(backend).start().await.unwrap();
    std::fs::remove_file(&program).unwrap();
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert!(failure.reason.contains("could not be started"), "{failure}");
    assert_eq!(failure.kind, BootFailureKind::Misconfigured);
    drains_cleanly(&pool, &[]).await;
}

async fn a_program_that_is_not_a_runner_is_a_failed_boot() {
    let backend = Process::new().program("/bin/echo").args(["I am not a runner"]);
    let pool = process_pool("test").backend(backend).start().await.unwrap();
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert_eq!(failure.exit_code, Some(0));
    assert_eq!(failure.log_tail, ["I am not a runner"]);
    drains_cleanly(&pool, &[]).await;
}

async fn draining_during_a_boot_kills_the_child() {
    let folder = TempDir::new();
    let backend =
        Process::new().env("DEMO_HANG_IN_BOOT", "1").env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").min(1).backend(backend).boot_timeout(MINUTE);
    let pool = pool.start().await.unwrap();
    let call = tokio::spawn(pool.call(demo::double(1).timeout(MINUTE)));
    flame_tests::until("the child has started", || !folder.files().is_empty()).await;
    let file = folder.files().remove(0);
    let pid = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
    drains_cleanly(&pool, &[pid]).await;
    let rejected = call.await.unwrap();
    assert!(matches!(rejected, Err(CallError::Draining)), "{rejected:?}");
}

/// A backend whose `remote_boot` hangs until the test adds a permit.
#[derive(Clone)]
struct HangingBackend {
    inner: Process,
    permits: Arc<tokio::sync::Semaphore>,
}

struct HangingInstances {
    inner: Arc<dyn Instances>,
    permits: Arc<tokio::sync::Semaphore>,
}

impl Backend for HangingBackend {
    fn kind(&self) -> HostKind {
        self.inner.kind()
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        Box::pin(async move {
            let inner = self.inner.start(pool).await?;
            Ok(Arc::new(HangingInstances { inner, permits: self.permits.clone() })
                as Arc<dyn Instances>)
        })
    }
}

impl Instances for HangingInstances {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        Box::pin(async {
            let permit = self.permits.acquire().await;
            permit.map_err(|error| BootFailure::new(error.to_string()))?.forget();
            self.inner.remote_boot(spec).await
        })
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.stop(instance)
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.inner.watch(instance)
    }
}

async fn a_hanging_backend_fails_the_boot_and_its_late_instances_are_stopped() {
    let permits = Arc::new(tokio::sync::Semaphore::new(0));
    let hanging = HangingBackend { inner: Process::new(), permits: permits.clone() };
    let pool = process_pool("test").max(1).backend(hanging).start().await.unwrap();
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert!(
        failure.reason.contains("did not start an instance within the boot timeout"),
        "{failure}"
    );
    assert_eq!(failure.kind, BootFailureKind::TimedOut);
    // Enough permits for every boot that the pool has given up. Their instances belong to no
    // runner, and `drain` waits until they are dead.
    permits.add_permits(100);
    pool.drain().await;
    assert!(pool.snapshot().runners.is_empty());
}

/// A backend whose `stop` does not kill a child that hangs in its boot, but lets it continue.
#[derive(Clone)]
struct ContinuingBackend {
    inner: Process,
    hang: std::path::PathBuf,
}

struct ContinuingInstances {
    inner: Arc<dyn Instances>,
    hang: std::path::PathBuf,
}

impl Backend for ContinuingBackend {
    fn kind(&self) -> HostKind {
        self.inner.kind()
    }

    fn boot_timeout(&self) -> Duration {
        MINUTE
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        Box::pin(async move {
            let inner = self.inner.start(pool).await?;
            Ok(Arc::new(ContinuingInstances { inner, hang: self.hang.clone() })
                as Arc<dyn Instances>)
        })
    }
}

impl Instances for ContinuingInstances {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        self.inner.remote_boot(spec)
    }

    fn stop<'a>(&'a self, _: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        let _ = std::fs::remove_file(&self.hang);
        Box::pin(async { Ok(()) })
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.inner.watch(instance)
    }
}

async fn a_runner_that_connects_after_its_boot_was_given_up_exits() {
    let folder = TempDir::new();
    let (hang, started) = (folder.path().join("hang"), TempDir::new());
    std::fs::write(&hang, "").unwrap();
    let inner = Process::new()
        .env("DEMO_HANG_WHILE_EXISTS", &hang)
        .env("DEMO_WRITE_PARENT_TO", started.path());
    let pool = process_pool("test")
        .min(1)
        .backend(ContinuingBackend { inner, hang })
        .start()
        .await
        .unwrap();
    flame_tests::until("the child has started", || !started.files().is_empty()).await;
    let began = tokio::time::Instant::now();
    pool.drain().await;
    // The runner exits by itself, and does not wait for the shutdown timeout of 30 s.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(pool.snapshot().runners.is_empty());
}
