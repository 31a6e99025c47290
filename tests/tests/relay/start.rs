//! Starts of pools with a relay.

use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{CallError, PoolError, Relay, RemoteError, remote};
use flame_tests::process::{drains_cleanly, listens_on};
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{Test, demo, process_pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_parent_with_a_relay_listens_nowhere,
        pools_with_the_same_relay_share_its_connection,
        a_relay_that_rejects_the_key_is_an_error_that_says_so,
        a_relay_that_cannot_be_reached_is_an_error_that_names_it,
        a_pool_starts_if_one_of_its_relays_can_be_reached,
        a_boot_that_fails_names_the_relay,
    ]
}

/// Starts a pool behind a relay, calls it, and returns how many ports this process listens on.
#[remote]
async fn open_ports_with_a_relay(url: &str) -> Result<usize, RemoteError> {
    let failed = |error: &dyn std::fmt::Display| RemoteError::new(error);
    let relay = Relay::new(url).key(KEY);
    let pool = process_pool("nested").relay(relay).start().await.map_err(|error| failed(&error))?;
    pool.call(demo::pid()).await.map_err(|error| failed(&error))?;
    Ok(listens_on(std::process::id()).len())
}

async fn a_parent_with_a_relay_listens_nowhere() {
    let relay = TestRelay::start();
    // A runner listens nowhere either, until it starts a pool.
    let pool = process_pool("test").start().await.unwrap();
    assert_eq!(pool.call(open_ports_with_a_relay(&relay.url())).await.unwrap().unwrap(), 0);
    let own = listens_on(std::process::id());
    assert!(!own.is_empty(), "this process listens for its own runners, so the count works");
    drains_cleanly(&pool, &[]).await;
}

async fn pools_with_the_same_relay_share_its_connection() {
    let relay = TestRelay::start();
    let first = process_pool("first").relay(relay.option()).start().await.unwrap();
    let second = process_pool("second").relay(relay.option()).start().await.unwrap();
    let connections = || {
        let own = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let port = format!("0100007F:{:04X}", relay.address().port());
        own.lines().filter(|line| line.split_whitespace().nth(2) == Some(&port)).count()
    };
    assert_eq!(connections(), 1);
    assert_ne!(
        first.call(demo::pid()).await.unwrap(),
        second.call(demo::pid()).await.unwrap(),
        "each pool has its own runner"
    );
    drains_cleanly(&first, &[]).await;
    drop(first);
    assert_eq!(second.call(demo::double(2)).await.unwrap(), 4);
    drains_cleanly(&second, &[]).await;
    drop(second);
}

async fn a_relay_that_rejects_the_key_is_an_error_that_says_so() {
    let relay = TestRelay::start();
    let wrong = Relay::new(relay.url()).key("not-a-key-of-this-relay-0123456789");
    let error = process_pool("test").relay(wrong).start().await.unwrap_err();
    assert!(matches!(error, PoolError::RelayKeyRejected { .. }), "{error:?}");
    assert!(error.to_string().contains(&relay.url()), "{error}");
    assert!(!format!("{error:?} {error}").contains("not-a-key"), "{error:?}");
}

async fn a_relay_that_cannot_be_reached_is_an_error_that_names_it() {
    let relay = TestRelay::start();
    let (url, option) = (relay.url(), relay.option());
    drop(relay);
    let error = process_pool("test").relay(option).start().await.unwrap_err();
    let PoolError::RelayUnreachable { source, .. } = &error else { panic!("{error:?}") };
    assert!(error.to_string().contains(&url), "{error}");
    assert!(source.to_string().contains("cannot connect"), "{source}");
}

async fn a_pool_starts_if_one_of_its_relays_can_be_reached() {
    let (gone, relay) = (TestRelay::start(), TestRelay::start());
    let option = Relay::new(gone.url()).or(relay.url()).key(KEY);
    drop(gone);
    let pool = process_pool("test").relay(option).start().await.unwrap();
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    drains_cleanly(&pool, &[]).await;
}

async fn a_boot_that_fails_names_the_relay() {
    let relay = TestRelay::start();
    let backend = Process::new().env("DEMO_HANG_IN_BOOT", "1");
    let pool = process_pool("test").relay(relay.option()).backend(backend);
    let pool = pool.boot_timeout(Duration::from_secs(1)).start().await.unwrap();
    let failed = pool.call(demo::pid()).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    let relay = format!("it can reach the relay at {}", relay.url());
    assert!(failure.reason.contains(&relay), "{failure}");
    drains_cleanly(&pool, &[]).await;
}
