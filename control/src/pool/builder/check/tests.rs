//! What a pool can't be started with is refused at its start, by the name of the option.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::backend::{
    Backend, BackendError, BootSpec, Death, Instance, Instances, Local, PoolInfo, Process,
};
use crate::{BadOption, BootFailure, HostKind, Idle, LimitsChange, Pool, PoolBuilder, PoolError};

const ZERO: Duration = Duration::ZERO;
const MOMENT: Duration = Duration::from_micros(999);
const SECOND: Duration = Duration::from_secs(1);

fn builder() -> PoolBuilder {
    Pool::builder("test").backend(Local::new())
}

/// All that is wrong with the options of a pool.
async fn wrong(builder: PoolBuilder) -> Vec<BadOption> {
    match builder.start().await {
        Err(PoolError::Option { option, why, others }) => {
            [vec![BadOption { option, why }], others].concat()
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => Vec::new(),
    }
}

#[tokio::test]
async fn each_option_that_can_not_be_is_refused_at_the_start_by_its_name() {
    type Change = fn(PoolBuilder) -> PoolBuilder;
    let bad: &[(&str, &str, Change)] = &[
        ("max", "at least 1", |p| p.max(0)),
        ("min", "above `max`, which is 4", |p| p.min(5)),
        ("max_concurrency", "from 1 to 32768", |p| p.max_concurrency(0)),
        ("max_concurrency", "from 1 to 32768", |p| p.max_concurrency(32_769)),
        ("min_free_slots", "9 slots in all", |p| p.max(3).max_concurrency(3).min_free_slots(10)),
        ("min_free_slots", "3 slots in all", |p| p.max(3).single_use(true).min_free_slots(4)),
        ("max_queue", "at least 1", |p| p.max_queue(0)),
        ("timeout", "`None` for no limit", |p| p.timeout(ZERO)),
        ("boot_timeout", "at least 1ms", |p| p.boot_timeout(ZERO)),
        ("boot_timeout", "at least 1ms", |p| p.boot_timeout(MOMENT)),
        ("max_lifetime", "at least 1ms", |p| p.max_lifetime(ZERO)),
        ("max_lifetime", "at least 1ms", |p| p.max_lifetime(MOMENT)),
        ("reconnect_timeout", "at least 15ms", |p| p.reconnect_timeout(ZERO)),
        ("keepalive_timeout", "at least 10ms", |p| p.keepalive_timeout(ZERO)),
        ("max_message", "at least 1024 bytes", |p| p.max_message(0)),
        ("max_message", "at least 1024 bytes", |p| p.max_message(1023)),
        ("max_depth", "1 allows calls", |p| p.max_depth(0)),
        ("boot_backoff", "at least 1 ms", |p| p.boot_backoff(ZERO, SECOND)),
        ("boot_backoff", "above its longest", |p| p.boot_backoff(2 * SECOND, SECOND)),
        ("boot_breaker", "after at least 1", |p| p.boot_breaker(0, SECOND)),
        ("boot_breaker", "at least 1 ms", |p| p.boot_breaker(1, ZERO)),
        ("burst_max", "leave out `burst`", |p| p.burst(Local::new()).burst_max(0)),
    ];
    for (option, told, change) in bad {
        let wrong = wrong(change(builder())).await;
        let [BadOption { option: named, why }] = &wrong[..] else { panic!("{option}: {wrong:?}") };
        assert_eq!(named, option, "{why}");
        assert!(why.contains(told), "{option} {why}");
    }
}

#[tokio::test]
async fn a_name_and_an_address_that_no_runner_could_read_are_refused_at_the_start() {
    let long = "x".repeat(65);
    for name in ["", "two\nlines", "a\u{7f}", &long] {
        let wrong = wrong(Pool::builder(name).backend(Local::new())).await;
        assert_eq!(wrong.iter().map(|bad| bad.option).collect::<Vec<_>>(), ["name"], "{name:?}");
    }
    let long = format!("ws://{}", "h".repeat(380));
    for address in [
        "",
        "localhost:1",
        "http://localhost:1",
        "ws://",
        "ws://:80",
        "ws://h:0",
        "ws://h:65536",
        "ws://h:port",
        "ws://user@h",
        "ws://::1",
        "ws://two words",
        "ws://<host>:1",
        "ws://[::1",
        &long,
    ] {
        let wrong = wrong(builder().advertise(address)).await;
        let [BadOption { option: "advertise", why }] = &wrong[..] else {
            panic!("{address:?}: {wrong:?}")
        };
        assert!(why.contains("write `ws://host:port` or `wss://host`"), "{why}");
    }
}

#[tokio::test]
async fn what_has_a_meaning_is_taken() {
    let longest = format!("ws://{}:65535", "h".repeat(384 - 11));
    let at_its_edges = [
        builder().min(4).max(4).max_concurrency(1).min_free_slots(4).max_queue(1),
        builder().max_concurrency(32_768).max_depth(1).max_message(1024),
        builder().single_use(true).max_concurrency(2),
        builder().shutdown_timeout(ZERO).idle_shutdown_after(ZERO).min_idle_shutdown_after(ZERO),
        builder().idle_shutdown_after(Idle::Never).timeout(None),
        builder().timeout(Duration::from_nanos(1)),
        Pool::builder("ü".repeat(32)).backend(Local::new()).advertise(longest),
        builder().advertise("wss://runners.example.com/flame?x=1"),
        builder().advertise("ws://[::1]:1"),
    ];
    for builder in at_its_edges {
        let told = format!("{builder:?}");
        let wrong = wrong(builder).await;
        assert!(wrong.is_empty(), "{told}: {wrong:?}");
    }
}

#[tokio::test]
async fn all_options_that_are_wrong_are_named_at_once() {
    let builder =
        Pool::builder("").max(0).reconnect_timeout(ZERO).advertise("here").backend(Local::new());
    let error = builder.start().await.unwrap_err().to_string();
    for option in ["`name`", "`max`", "`reconnect_timeout`", "`advertise`"] {
        assert!(error.contains(option), "{error}");
    }
}

#[tokio::test]
async fn a_resized_pool_keeps_to_the_same_rules() {
    let none = LimitsChange::default;
    let pool = builder().max(4).max_concurrency(2).min_free_slots(8).start().await.unwrap();
    let refused = |pool: &Pool, change| match pool.resize(change) {
        Err(PoolError::Option { option, .. }) => option,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&pool, LimitsChange { max: Some(0), ..none() }), "max");
    assert_eq!(refused(&pool, LimitsChange { min: Some(5), ..none() }), "min");
    assert_eq!(refused(&pool, LimitsChange { max: Some(3), ..none() }), "min_free_slots");
    assert_eq!(refused(&pool, LimitsChange { max_queue: Some(0), ..none() }), "max_queue");
    pool.resize(LimitsChange { max: Some(3), min_free_slots: Some(6), ..none() }).unwrap();
    let both = LimitsChange { max: Some(1), min: Some(2), max_concurrency: Some(0), ..none() };
    let error = pool.resize(both).unwrap_err().to_string();
    for option in ["`min`", "`max_concurrency`", "`min_free_slots`"] {
        assert!(error.contains(option), "{error}");
    }
    // It changes nothing there: a runner serves one call.
    let pool = builder().single_use(true).start().await.unwrap();
    pool.resize(LimitsChange { max_concurrency: Some(2), ..none() }).unwrap();
}

/// A backend that gives its instances no time.
struct Hasty;

impl Backend for Hasty {
    fn kind(&self) -> HostKind {
        HostKind::Local
    }

    fn boot_timeout(&self) -> Duration {
        ZERO
    }

    fn start(&self, _: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async { Ok(Arc::new(Hasty) as Arc<dyn Instances>) }.boxed()
    }
}

impl Instances for Hasty {
    fn remote_boot(&self, _: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async { Err(BootFailure::new("it boots nothing")) }.boxed()
    }

    fn stop<'a>(&'a self, _: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        async { Ok(()) }.boxed()
    }

    fn watch(&self, _: &Instance) -> BoxFuture<'static, Death> {
        std::future::pending().boxed()
    }
}

#[tokio::test]
async fn a_backend_that_gives_its_instances_no_time_is_refused() {
    let wrong_first = wrong(Pool::builder("test").backend(Hasty)).await;
    assert_eq!(wrong_first.first().map(|bad| bad.option), Some("boot_timeout"), "{wrong_first:?}");
    let wrong_burst = wrong(builder().burst(Hasty)).await;
    assert_eq!(wrong_burst.first().map(|bad| bad.option), Some("burst"), "{wrong_burst:?}");
    assert!(wrong(Pool::builder("test").backend(Hasty).boot_timeout(SECOND)).await.is_empty());
}

#[tokio::test]
async fn what_no_child_could_be_given_is_refused_at_the_start() {
    for (backend, told) in [
        (Process::new().env("", "x"), "`env`"),
        (Process::new().env("A=B", "x"), "`env`"),
        (Process::new().env("A\0", "x"), "`env`"),
        (Process::new().env("A", "x\0"), "`env`"),
        (Process::new().args(["fine", "not\0"]), "`args`"),
        (Process::new().program("not\0"), "`program`"),
    ] {
        match Pool::builder("test").backend(backend).start().await {
            Err(PoolError::Backend(error)) => {
                assert!(error.to_string().contains(told), "{told}: {error}");
            }
            other => panic!("{told}: {other:?}"),
        }
    }
}
