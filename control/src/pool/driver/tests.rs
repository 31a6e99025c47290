//! A pool with a backend that does what a test says, at a clock that the test has stopped: what no
//! real platform does on demand.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flame_wire::parent::{FlameParent, HostKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::Shared;
use crate::backend::{
    Backend, BackendError, BootSpec, Death, Instance, Instances, Local, PoolInfo,
};
use crate::pool::state::{LimitsChange, RunnerId};
use crate::pool::{Events, Pool, PoolBuilder, PoolEvent};
use crate::{BootFailure, BootFailureKind, CallError, PoolError, remote};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[remote]
async fn add(a: u32, b: u32) -> u32 {
    a + b
}

/// Runners of this process, with ways of their own.
#[derive(Clone, Default)]
struct Fake {
    ways: Ways,
    boots: Arc<AtomicU32>,
    instances: Arc<Mutex<Vec<Instance>>>,
    started: Arc<Mutex<Option<Arc<dyn Instances>>>>,
    /// What the last one was booted with.
    parent: Arc<Mutex<Option<FlameParent>>>,
}

struct FakeInstances {
    fake: Fake,
    local: Arc<dyn Instances>,
}

#[derive(Clone, Copy, Default)]
struct Ways {
    /// The first boot panics.
    panics_once: bool,
    /// How long an order takes.
    order: Duration,
    watch_panics: bool,
    /// How much later than it dies an instance is seen dead.
    seen_after: Duration,
    stop: Stop,
}

#[derive(Clone, Copy, Default)]
enum Stop {
    #[default]
    AtOnce,
    Never,
    Panics,
}

impl Backend for Fake {
    fn kind(&self) -> HostKind {
        HostKind::Local
    }

    fn boot_timeout(&self) -> Duration {
        Duration::MAX
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move {
            let local = Local::new().start(pool).await?;
            *self.started.lock().unwrap() = Some(local.clone());
            Ok(Arc::new(FakeInstances { fake: self.clone(), local }) as Arc<dyn Instances>)
        }
        .boxed()
    }
}

impl Instances for FakeInstances {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        let Fake { parent, boots, ways, .. } = &self.fake;
        *parent.lock().unwrap() = FlameParent::decode(&spec.flame_parent).ok();
        let first = boots.fetch_add(1, Ordering::Relaxed) == 0;
        assert!(!(first && ways.panics_once), "the platform's own words");
        async move {
            sleep(ways.order).await;
            let instance = self.local.remote_boot(spec).await?;
            self.fake.instances.lock().unwrap().push(instance.clone());
            Ok(instance)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        match self.fake.ways.stop {
            Stop::AtOnce => self.local.stop(instance),
            Stop::Never => async { Ok(()) }.boxed(),
            Stop::Panics => panic!("stopping is not its strength"),
        }
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        assert!(!self.fake.ways.watch_panics, "it can't look");
        let (death, later) = (self.local.watch(instance), self.fake.ways.seen_after);
        async move {
            let death = death.await;
            sleep(later).await;
            death
        }
        .boxed()
    }
}

impl Fake {
    fn with(ways: Ways) -> Self {
        Self { ways, ..Self::default() }
    }

    fn pool(&self) -> PoolBuilder {
        Pool::builder("test").max(1).max_concurrency(1).timeout(MINUTE).backend(self.clone())
    }

    fn boots(&self) -> u32 {
        self.boots.load(Ordering::Relaxed)
    }
}

/// Breaks the link of the pool's first runner.
fn lose(pool: &Pool) {
    let (_, up) = pool.shared().runner(RunnerId(0)).unwrap();
    up.unwrap().link.abort("a test");
}

async fn next<T>(events: &mut Events, wanted: impl Fn(&PoolEvent) -> Option<T>) -> T {
    loop {
        let event = events.next().await.expect("the pool goes on").expect("none is missed");
        if let Some(found) = wanted(&event) {
            return found;
        }
    }
}

/// Whether nothing holds the pool any more, soon.
async fn is_gone(pool: &Weak<Shared>) -> bool {
    for _ in 0..100 {
        if pool.strong_count() == 0 {
            return true;
        }
        sleep(SECOND).await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_ends_without_a_runner_leaves_nothing() {
    for drained in [true, false] {
        let pool = Fake::default().pool().burst(Local::new()).start().await.unwrap();
        let left = Arc::downgrade(pool.shared());
        let burst = Arc::downgrade(&pool.shared().burst.get().unwrap().pool);
        // Its tasks have nothing to do, and sleep.
        sleep(SECOND).await;
        if drained {
            pool.drain().await;
        }
        drop(pool);
        assert!(is_gone(&left).await && is_gone(&burst).await, "drained: {drained}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_has_had_runners_leaves_nothing() {
    let pool = Fake::default().pool().start().await.unwrap();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    let left = Arc::downgrade(pool.shared());
    drop(pool);
    assert!(is_gone(&left).await);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_has_drained_leaves_no_task_for_its_shutdown_window() {
    let hour = 60 * MINUTE;
    let pool = Fake::default().pool().shutdown_timeout(hour).burst(Local::new());
    let pool = pool.start().await.unwrap();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    let begun = Instant::now();
    pool.drain().await;
    drop(pool);
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
        sleep(SECOND).await;
    }
    assert!(begun.elapsed() < hour, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "other machines go by this clock")]
async fn a_runner_is_told_when_its_boot_has_failed() {
    let unix_ms = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let fake = Fake::default();
    let pool = fake.pool().boot_timeout(MINUTE).start().await.unwrap();
    let earliest = unix_ms() + MINUTE.as_millis();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    let latest = unix_ms() + MINUTE.as_millis();
    let parent = fake.parent.lock().unwrap().clone().unwrap();
    let expires = u128::from(parent.expires_unix_ms.unwrap());
    assert!((earliest..=latest).contains(&expires), "{expires}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_is_a_failed_boot_and_the_next_is_tried() {
    let fake = Fake::with(Ways { panics_once: true, ..Ways::default() });
    let pool = fake.pool().start().await.unwrap();
    let failed = pool.call(add(1, 2)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert!(failure.reason.contains("the platform's own words"), "{failure}");
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    pool.drain().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_can_not_be_watched_serves() {
    let fake = Fake::with(Ways { watch_panics: true, ..Ways::default() });
    let pool = fake.pool().start().await.unwrap();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    assert_eq!(pool.call(add(3, 4)).await.unwrap(), 7);
    assert_eq!(fake.boots(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_comes_late_fails_the_boot_and_what_it_makes_is_stopped() {
    let fake = Fake::with(Ways { order: 3 * SECOND, ..Ways::default() });
    let pool = fake.pool().boot_timeout(SECOND).start().await.unwrap();
    let began = Instant::now();
    let failed = pool.call(add(1, 2)).await;
    assert_eq!(began.elapsed(), SECOND);
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert_eq!(failure.kind, BootFailureKind::TimedOut);
    pool.drain().await;
    let made = fake.instances.lock().unwrap().first().cloned().expect("it is made all the same");
    assert!(
        fake.started.lock().unwrap().as_ref().unwrap().watch(&made).now_or_never().is_some(),
        "and is stopped"
    );
}

#[tokio::test(start_paused = true)]
async fn a_replacement_waits_for_an_instance_that_is_slow_to_end() {
    let fake = Fake::with(Ways { seen_after: 20 * SECOND, ..Ways::default() });
    let pool = fake.pool().start().await.unwrap();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    let mut events = pool.events();
    lose(&pool);
    next(&mut events, |event| matches!(event, PoolEvent::RunnerLost { .. }).then_some(())).await;
    let began = Instant::now();
    assert_eq!(pool.call(add(3, 4)).await.unwrap(), 7);
    assert!(began.elapsed() >= 20 * SECOND, "`max` is 1: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_can_not_be_stopped_is_reported_and_counts_no_more() {
    for stop in [Stop::Never, Stop::Panics] {
        let fake = Fake::with(Ways { stop, watch_panics: true, ..Ways::default() });
        let pool = fake.pool().reconnect_timeout(SECOND).timeout(None).start().await.unwrap();
        assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
        let mut events = pool.events();
        lose(&pool);
        let waiting = tokio::spawn(pool.call(add(3, 4)));
        let failed = next(&mut events, |event| match event {
            PoolEvent::StopFailed { instance, .. } => Some(instance.clone()),
            _ => None,
        });
        assert_eq!(failed.await, fake.instances.lock().unwrap()[0].id);
        assert_eq!(waiting.await.unwrap().unwrap(), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn times_without_end_are_as_good_as_any() {
    let fake = Fake::default();
    let pool = fake.pool().timeout(Duration::MAX).boot_timeout(Duration::MAX);
    let pool = pool
        .shutdown_timeout(Duration::MAX)
        .reconnect_timeout(Duration::MAX)
        .keepalive_timeout(Duration::MAX);
    let pool = pool.max_lifetime(Duration::MAX).boot_backoff(Duration::MAX, Duration::MAX);
    let pool = pool.idle_shutdown_after(SECOND).start().await.unwrap();
    let mut events = pool.events();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    next(&mut events, |event| matches!(event, PoolEvent::Shrink { .. }).then_some(())).await;
    assert_eq!(pool.call(add(3, 4)).await.unwrap(), 7);
    pool.drain().await;
}

#[tokio::test(start_paused = true)]
async fn limits_are_checked_as_they_are_when_they_change() {
    let pool = Fake::default().pool().max(4).start().await.unwrap();
    let change = |min, max| LimitsChange { min, max, ..LimitsChange::default() };
    pool.resize(change(None, Some(2))).unwrap();
    let refused = pool.resize(change(Some(3), None));
    assert!(matches!(refused, Err(PoolError::Option { option: "min", .. })), "{refused:?}");
    let refused =
        pool.resize(LimitsChange { max_concurrency: Some(u32::MAX), ..LimitsChange::default() });
    assert!(matches!(refused, Err(PoolError::Option { option: "max_concurrency", .. })));
    let mut events = pool.events();
    pool.resize(change(Some(1), None)).unwrap();
    next(&mut events, |event| matches!(event, PoolEvent::GrowEnd { up: true, .. }).then_some(()))
        .await;
}
