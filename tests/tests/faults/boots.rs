//! Boots that come to nothing.

use std::sync::Arc;
use std::time::Duration;

use flame_aws::backend::{
    Backend, BackendError, BootSpec, Death, Instance, Instances, PoolInfo, Process,
};
use flame_aws::{BootFailure, BootFailureKind, CallError, HostKind, PoolEvent, TimeoutPhase};
use flame_tests::process::ends_clean;
use flame_tests::{Folder, Test, Watcher, demo, process_pool, tests};
use futures_util::future::BoxFuture;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_runner_that_ends_in_boot_is_told_with_its_code_and_its_last_lines,
        boots_that_fail_again_and_again_open_the_breaker,
        a_pool_whose_boots_work_again_closes_the_breaker,
        a_runner_that_hangs_in_boot_fails_its_callers_and_is_killed,
        a_call_whose_time_runs_out_in_a_boot_says_so,
        a_program_that_vanishes_is_a_failed_boot,
        a_program_that_is_no_runner_is_a_failed_boot,
        a_pool_that_drains_in_a_boot_ends_the_child,
        a_backend_that_hangs_fails_the_boot_and_what_it_makes_late_is_stopped,
        a_runner_that_dials_in_after_its_boot_was_given_up_ends_by_itself,
    ]
}

const MINUTE: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::from_millis(1);

fn exits_in_boot() -> Process {
    Process::new().env("DEMO_EXIT_IN_BOOT", "7")
}

async fn a_runner_that_ends_in_boot_is_told_with_its_code_and_its_last_lines() {
    let pool = process_pool("test").backend(exits_in_boot()).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert_eq!(failure.exit_code, Some(7));
    assert_eq!(failure.kind, BootFailureKind::Died);
    assert_eq!(failure.log_tail, ["the database is not there"]);
    let told = watcher.next(|event| match event {
        PoolEvent::GrowEnd { failure, up: false, .. } => Some(failure.clone()),
        _ => None,
    });
    assert_eq!(told.await, Some(failure));
    // It backs off: who calls now waits for the next boot, and learns of that.
    let pause = watcher.next(|event| match event {
        PoolEvent::BackingOff { failures } => Some(*failures),
        _ => None,
    });
    assert_eq!(pause.await, 1);
    let failed = pool.call(demo::double(1)).await;
    assert!(matches!(failed, Err(CallError::BootFailed(_))), "{failed:?}");
    ends_clean(&pool, &[]).await;
}

async fn boots_that_fail_again_and_again_open_the_breaker() {
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
    // From now on calls fail at once, with the same reason, and nothing is booted.
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
    assert!(is_told_of_each_boot_once(&watcher.seen));
}

fn is_told_of_each_boot_once(events: &[PoolEvent]) -> bool {
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

async fn a_pool_whose_boots_work_again_closes_the_breaker() {
    let folder = Folder::new();
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "").unwrap();
    let backend = Process::new().env("DEMO_EXIT_WHILE", &broken);
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
            Err(CallError::BootFailed(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(doubled, 8);
    watcher.next(|e| matches!(e, PoolEvent::BreakerClosed).then_some(())).await;
    ends_clean(&pool, &[]).await;
}

async fn a_runner_that_hangs_in_boot_fails_its_callers_and_is_killed() {
    let folder = Folder::new();
    let backend = Process::new().env("DEMO_HANG_IN_BOOT", "1").env("DEMO_TELL", folder.path());
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
    assert!(!pids.is_empty(), "there was a child");
    ends_clean(&pool, &pids).await;
}

async fn a_call_whose_time_runs_out_in_a_boot_says_so() {
    let backend = Process::new().env("DEMO_HANG_IN_BOOT", "1");
    let pool = process_pool("test").max(1).backend(backend).start().await.unwrap();
    let late = pool.call(demo::double(1).timeout(Duration::from_millis(100))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Boot, after, boot: None }) = late else {
        panic!("{late:?}")
    };
    assert_eq!(after, Duration::from_millis(100));
    ends_clean(&pool, &[]).await;
}

async fn a_program_that_vanishes_is_a_failed_boot() {
    let folder = Folder::new();
    let program = folder.path().join("program");
    std::fs::copy("/bin/true", &program).unwrap();
    let backend = Process::new().program(&program);
    let pool = process_pool("test").backend(backend).start().await.unwrap();
    std::fs::remove_file(&program).unwrap();
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert!(failure.reason.contains("could not be started"), "{failure}");
    assert_eq!(failure.kind, BootFailureKind::Refused);
    ends_clean(&pool, &[]).await;
}

async fn a_program_that_is_no_runner_is_a_failed_boot() {
    let backend = Process::new().program("/bin/echo").args(["I am no runner"]);
    let pool = process_pool("test").backend(backend).start().await.unwrap();
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert_eq!(failure.exit_code, Some(0));
    assert_eq!(failure.log_tail, ["I am no runner"]);
    ends_clean(&pool, &[]).await;
}

async fn a_pool_that_drains_in_a_boot_ends_the_child() {
    let folder = Folder::new();
    let backend = Process::new().env("DEMO_HANG_IN_BOOT", "1").env("DEMO_TELL", folder.path());
    let pool = process_pool("test").min(1).backend(backend).boot_timeout(MINUTE);
    let pool = pool.start().await.unwrap();
    let call = tokio::spawn(pool.call(demo::double(1).timeout(MINUTE)));
    flame_tests::until("the child boots", || !folder.files().is_empty()).await;
    let file = folder.files().remove(0);
    let pid = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
    ends_clean(&pool, &[pid]).await;
    let refused = call.await.unwrap();
    assert!(matches!(refused, Err(CallError::Draining)), "{refused:?}");
}

/// A backend that hangs, and boots a real child only when it is let go.
#[derive(Clone)]
struct Slow {
    inner: Process,
    go: Arc<tokio::sync::Semaphore>,
}

struct SlowInstances {
    inner: Arc<dyn Instances>,
    go: Arc<tokio::sync::Semaphore>,
}

impl Backend for Slow {
    fn kind(&self) -> HostKind {
        self.inner.kind()
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        Box::pin(async move {
            let inner = self.inner.start(pool).await?;
            Ok(Arc::new(SlowInstances { inner, go: self.go.clone() }) as Arc<dyn Instances>)
        })
    }
}

impl Instances for SlowInstances {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        Box::pin(async {
            let go = self.go.acquire().await;
            go.map_err(|error| BootFailure::new(error.to_string()))?.forget();
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

async fn a_backend_that_hangs_fails_the_boot_and_what_it_makes_late_is_stopped() {
    let go = Arc::new(tokio::sync::Semaphore::new(0));
    let slow = Slow { inner: Process::new(), go: go.clone() };
    let pool = process_pool("test").max(1).backend(slow).start().await.unwrap();
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert!(failure.reason.contains("did not take the order"), "{failure}");
    assert_eq!(failure.kind, BootFailureKind::TimedOut);
    // As many as there can have been orders: what they make is nobody's, and is seen dead.
    go.add_permits(100);
    pool.drain().await;
    assert!(pool.snapshot().runners.is_empty());
}

/// A backend whose stop lets a child that hangs in its boot go on, and does nothing else.
#[derive(Clone)]
struct Gentle {
    inner: Process,
    hang: std::path::PathBuf,
}

struct GentleInstances {
    inner: Arc<dyn Instances>,
    hang: std::path::PathBuf,
}

impl Backend for Gentle {
    fn kind(&self) -> HostKind {
        self.inner.kind()
    }

    fn boot_timeout(&self) -> Duration {
        MINUTE
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        Box::pin(async move {
            let inner = self.inner.start(pool).await?;
            Ok(Arc::new(GentleInstances { inner, hang: self.hang.clone() }) as Arc<dyn Instances>)
        })
    }
}

impl Instances for GentleInstances {
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

async fn a_runner_that_dials_in_after_its_boot_was_given_up_ends_by_itself() {
    let folder = Folder::new();
    let (hang, told) = (folder.path().join("hang"), Folder::new());
    std::fs::write(&hang, "").unwrap();
    let inner = Process::new().env("DEMO_HANG_WHILE", &hang).env("DEMO_TELL", told.path());
    let pool = process_pool("test").min(1).backend(Gentle { inner, hang }).start().await.unwrap();
    flame_tests::until("the child boots", || !told.files().is_empty()).await;
    let began = tokio::time::Instant::now();
    pool.drain().await;
    // Without anyone's doing, and not after the shutdown window of 30 s.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(pool.snapshot().runners.is_empty());
}
