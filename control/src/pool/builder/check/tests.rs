//! Options with which a pool can't start are rejected when it starts, by name.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::backend::{
    Backend, BackendError, BootSpec, Death, Instance, Instances, Local, PoolInfo, Process,
};
use crate::{
    BadOption, BootFailure, HostKind, Idle, LimitsChange, Pool, PoolBuilder, PoolError, Relay,
};

const ZERO: Duration = Duration::ZERO;
const MOMENT: Duration = Duration::from_micros(999);
const SECOND: Duration = Duration::from_secs(1);

fn builder() -> PoolBuilder {
    Pool::builder("test").backend(Local::new())
}

/// The options that `start` rejects.
async fn wrong(builder: PoolBuilder) -> Vec<BadOption> {
    match builder.start().await {
        Err(PoolError::Option { option, why, others }) => {
            [vec![BadOption { option, why }], others].concat()
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => Vec::new(),
    }
}

#[cfg(feature = "code-s3")]
#[tokio::test]
async fn a_code_store_needs_a_valid_url_and_code_sync() {
    for (change, part) in [
        (builder().code_store("s3://My-Bucket"), "lower-case"),
        (builder().code_store("https://my-bucket"), "not an S3 URL"),
        (builder().code_store("s3://my-bucket").code_sync(false), "`code_sync` is off"),
    ] {
        let wrong = wrong(change).await;
        assert!(wrong.len() == 1 && wrong[0].option == "code_store", "{wrong:?}");
        assert!(wrong[0].why.contains(part), "{wrong:?}");
    }
    assert_eq!(wrong(builder().code_store("s3://my-bucket")).await, []);
}

#[tokio::test]
async fn each_invalid_option_is_rejected_at_the_start_by_its_name() {
    type Change = fn(PoolBuilder) -> PoolBuilder;
    let bad: &[(&str, &str, Change)] = &[
        ("relay", "does not begin with", |p| p.relay(Relay::new("relay").key("k"))),
        ("relay", "can't be combined with `listen`", |p| {
            p.relay(Relay::new("ws://a").key("k")).listen(([127, 0, 0, 1], 0).into())
        }),
        ("relay", "can't be combined with `listen`", |p| {
            p.relay(Relay::new("ws://a").key("k")).advertise("ws://b")
        }),
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
        ("boot_backoff", "longer than its longest", |p| p.boot_backoff(2 * SECOND, SECOND)),
        ("boot_breaker", "after at least 1", |p| p.boot_breaker(0, SECOND)),
        ("boot_breaker", "at least 1 ms", |p| p.boot_breaker(1, ZERO)),
        ("burst_max", "leave out `burst`", |p| p.burst(Local::new()).burst_max(0)),
    ];
    for (option, expected, change) in bad {
        let wrong = wrong(change(builder())).await;
        let [BadOption { option: named, why }] = &wrong[..] else { panic!("{option}: {wrong:?}") };
        assert_eq!(named, option, "{why}");
        assert!(why.contains(expected), "{option} {why}");
    }
}

#[tokio::test]
async fn an_invalid_name_or_address_is_rejected_at_the_start() {
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
async fn values_at_the_limits_are_accepted() {
    let longest = format!("ws://{}:65535", "h".repeat(384 - 11));
    let at_the_limits = [
        builder().min(4).max(4).max_concurrency(1).min_free_slots(4).max_queue(1),
        builder().max_concurrency(32_768).max_depth(1).max_message(1024),
        builder().single_use(true).max_concurrency(2),
        builder().shutdown_timeout(ZERO).idle_shutdown_after(ZERO).min_idle_shutdown_after(ZERO),
        builder().idle_shutdown_after(Idle::Never).timeout(None),
        builder().timeout(Duration::from_nanos(1)),
        Pool::builder("ü".repeat(32)).backend(Local::new()).advertise(longest),
        builder().advertise("wss://runners.example.com/flame/x=1"),
        builder().advertise("ws://[::1]:1"),
    ];
    for builder in at_the_limits {
        let options = format!("{builder:?}");
        let wrong = wrong(builder).await;
        assert!(wrong.is_empty(), "{options}: {wrong:?}");
    }
}

#[tokio::test]
async fn every_wrong_option_is_named_in_one_error() {
    let builder =
        Pool::builder("").max(0).reconnect_timeout(ZERO).advertise("here").backend(Local::new());
    let error = builder.start().await.unwrap_err().to_string();
    for option in ["`name`", "`max`", "`reconnect_timeout`", "`advertise`"] {
        assert!(error.contains(option), "{error}");
    }
}

#[tokio::test]
async fn a_resize_is_checked_by_the_same_rules() {
    let pool = builder().max(4).max_concurrency(2).min_free_slots(8).start().await.unwrap();
    let rejected = |pool: &Pool, change| match pool.resize(change) {
        Err(PoolError::Option { option, .. }) => option,
        other => panic!("{other:?}"),
    };
    assert_eq!(rejected(&pool, LimitsChange::new().max(0)), "max");
    assert_eq!(rejected(&pool, LimitsChange::new().min(5)), "min");
    assert_eq!(rejected(&pool, LimitsChange::new().max(3)), "min_free_slots");
    assert_eq!(rejected(&pool, LimitsChange::new().max_queue(0)), "max_queue");
    pool.resize(LimitsChange::new().max(3).min_free_slots(6)).unwrap();
    let both = LimitsChange::new().max(1).min(2).max_concurrency(0);
    let error = pool.resize(both).unwrap_err().to_string();
    for option in ["`min`", "`max_concurrency`", "`min_free_slots`"] {
        assert!(error.contains(option), "{error}");
    }
    // This changes nothing: with `single_use` a runner serves one call in any case.
    let pool = builder().single_use(true).start().await.unwrap();
    pool.resize(LimitsChange::new().max_concurrency(2)).unwrap();
}

/// A backend whose boot timeout is zero.
struct NoBootTime;

impl Backend for NoBootTime {
    fn kind(&self) -> HostKind {
        HostKind::Local
    }

    fn boot_timeout(&self) -> Duration {
        ZERO
    }

    fn start(&self, _: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async { Ok(Arc::new(NoBootTime) as Arc<dyn Instances>) }.boxed()
    }
}

impl Instances for NoBootTime {
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
async fn a_backend_whose_boot_timeout_is_zero_is_rejected() {
    let wrong_first = wrong(Pool::builder("test").backend(NoBootTime)).await;
    assert_eq!(wrong_first.first().map(|bad| bad.option), Some("boot_timeout"), "{wrong_first:?}");
    let wrong_burst = wrong(builder().burst(NoBootTime)).await;
    assert_eq!(wrong_burst.first().map(|bad| bad.option), Some("burst"), "{wrong_burst:?}");
    assert!(wrong(Pool::builder("test").backend(NoBootTime).boot_timeout(SECOND)).await.is_empty());
}

#[tokio::test]
async fn invalid_arguments_and_variables_of_child_processes_are_rejected_at_the_start() {
    for (backend, expected) in [
        (Process::new().env("", "x"), "`env`"),
        (Process::new().env("A=B", "x"), "`env`"),
        (Process::new().env("A\0", "x"), "`env`"),
        (Process::new().env("A", "x\0"), "`env`"),
        (Process::new().args(["fine", "not\0"]), "`args`"),
        (Process::new().program("not\0"), "`program`"),
    ] {
        match Pool::builder("test").backend(backend).start().await {
            Err(PoolError::Backend(error)) => {
                assert!(error.to_string().contains(expected), "{expected}: {error}");
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}
