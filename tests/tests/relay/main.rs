//! Pools whose runners connect through a relay.

use std::collections::HashSet;
use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{CallError, Pool, PoolError, Relay, RemoteError, remote};
use flame_link::{HelloError, dial};
use flame_tests::process::drains_cleanly;
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{TempDir, Test, demo, impostor, process_pool, suite, tests, until};
use flame_wire::hello::Rejection;
use flame_wire::parent::Fingerprint;

mod load_balancer;
mod secrets;

fn main() -> std::process::ExitCode {
    suite([tests(), load_balancer::tests(), secrets::tests()].concat())
}

fn tests() -> Vec<Test> {
    tests![
        a_parent_with_a_relay_listens_nowhere,
        the_addresses_of_a_runner_lead_to_the_relay,
        pools_with_the_same_relay_share_its_connection,
        a_relay_that_rejects_the_key_is_an_error_that_says_so,
        a_relay_that_cannot_be_reached_is_an_error_that_names_it,
        a_pool_starts_if_one_of_its_relays_can_be_reached,
        a_parent_that_cannot_reach_the_own_address_of_a_node_uses_the_url,
        a_boot_that_fails_names_the_relay,
        calls_survive_a_relay_that_is_killed_and_started_again,
        calls_survive_the_loss_of_one_of_two_relays,
        a_relay_that_drains_is_left_without_losing_a_call,
        an_unknown_runner_and_a_wrong_token_are_rejected,
    ]
}

/// Starts a pool behind a relay, calls it, and returns how many ports this process listens on.
#[remote]
async fn open_ports_with_a_relay(url: &str) -> Result<usize, RemoteError> {
    let failed = |error: &dyn std::fmt::Display| RemoteError::new(error);
    let relay = Relay::new(url).key(KEY);
    let pool = process_pool("nested").relay(relay).start().await.map_err(|error| failed(&error))?;
    pool.call(demo::pid()).await.map_err(|error| failed(&error))?;
    Ok(open_ports())
}

/// How many TCP ports this process listens on.
fn open_ports() -> usize {
    let own: HashSet<_> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            const LISTEN: &str = "0A";
            columns.get(3) == Some(&LISTEN)
                && columns.get(9).is_some_and(|&inode| own.contains(inode))
        })
        .count()
}

async fn a_parent_with_a_relay_listens_nowhere() {
    let relay = TestRelay::start();
    // A runner listens nowhere either, until it starts a pool.
    let pool = process_pool("test").start().await.unwrap();
    assert_eq!(pool.call(open_ports_with_a_relay(&relay.url())).await.unwrap().unwrap(), 0);
    assert!(open_ports() > 0, "this process listens for its own runners, so the count works");
    drains_cleanly(&pool, &[]).await;
}

/// As a laptop whose relay is in a private network: only runners reach the node's own address.
async fn a_parent_that_cannot_reach_the_own_address_of_a_node_uses_the_url() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = TestRelay::start_at(([127, 0, 0, 1], 0).into(), |config| {
        config.address = Some(format!("ws://{nowhere}"));
    });
    let pool = process_pool("test").relay(relay.option()).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    drains_cleanly(&pool, &[]).await;
}

async fn the_addresses_of_a_runner_lead_to_the_relay() {
    let relay = TestRelay::start();
    let folder = TempDir::new();
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").relay(relay.option()).backend(backend).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let parent = impostor::flame_parent(&folder.files()[0]);
    assert_eq!(parent.addresses, [format!("{}/v1/runner/{}", relay.url(), parent.runner)]);
    drains_cleanly(&pool, &[pid]).await;
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

/// Starts a call that is in the middle of its work when the future completes.
async fn call_in_progress(pool: &Pool) -> tokio::task::JoinHandle<Result<u32, CallError>> {
    let call = tokio::spawn(pool.call(demo::nap(Duration::from_secs(2))));
    until("the call runs", || pool.snapshot().leased == 1).await;
    call
}

async fn calls_survive_a_relay_that_is_killed_and_started_again() {
    let relay = TestRelay::start();
    let (address, option) = (relay.address(), relay.option());
    let pool = process_pool("test").max(1).relay(option).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let call = call_in_progress(&pool).await;
    drop(relay);
    let relay = TestRelay::start_at(address, |_| {});
    assert_eq!(call.await.unwrap().unwrap(), pid);
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid, "it is the same runner");
    drains_cleanly(&pool, &[pid]).await;
    drop(relay);
}

async fn calls_survive_the_loss_of_one_of_two_relays() {
    let relays = [TestRelay::start(), TestRelay::start()];
    let option = Relay::new(relays[0].url()).or(relays[1].url()).key(KEY);
    let pool = process_pool("test").max(1).relay(option).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let mut restarted = Vec::new();
    for relay in relays {
        let call = call_in_progress(&pool).await;
        let address = relay.address();
        drop(relay);
        assert_eq!(call.await.unwrap().unwrap(), pid);
        // Before the other one is lost.
        restarted.push(TestRelay::start_at(address, |_| {}));
    }
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid, "it is the same runner");
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_relay_that_drains_is_left_without_losing_a_call() {
    let (draining, other) = (TestRelay::start(), TestRelay::start());
    let option = Relay::new(draining.url()).or(other.url()).key(KEY);
    let pool = process_pool("test").max(1).relay(option).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let call = call_in_progress(&pool).await;
    draining.drain();
    assert_eq!(call.await.unwrap().unwrap(), pid);
    drop(draining);
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid, "it is the same runner");
    drains_cleanly(&pool, &[pid]).await;
}

async fn an_unknown_runner_and_a_wrong_token_are_rejected() {
    let relay = TestRelay::start();
    let folder = TempDir::new();
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").relay(relay.option()).backend(backend).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let parent = impostor::flame_parent(&folder.files()[0]);

    let unknown = format!("{}/v1/runner/f-{}", relay.url(), "9".repeat(32));
    let error = dial(&unknown, parent.fingerprint).await.unwrap_err();
    assert!(error.to_string().contains("HTTP status 404"), "{error}");
    let error = dial(&parent.addresses[0], Fingerprint([0; 32])).await.unwrap_err();
    assert!(matches!(error, flame_link::DialError::Tls { .. }), "{error:?}");
    // The relay connects the impostor, but the parent does not admit it: the token is used.
    let refused = impostor::connect(&parent, &impostor::hello(&parent)).await;
    assert!(matches!(refused, Err(HelloError::Rejected(Rejection::UsedToken))), "{refused:?}");
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    drains_cleanly(&pool, &[pid]).await;
}
