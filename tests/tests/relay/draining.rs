//! Relays that drain.

use std::time::Duration;

use flame_aws::Relay;
use flame_aws::backend::Process;
use flame_tests::process::{connected_to, drains_cleanly};
use flame_tests::proxy::{Network, Proxy};
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{TempDir, Test, demo, impostor, process_pool, tests, until};

use crate::fixtures::{MINUTE, behind_a_gate, home_and_other, patient, survives};

/// The metrics of a relay with the number of its control connections, of the runners that are
/// connected, and of the pairs that it has closed because it drains.
const PARENTS: &str = "flame_relay_connections{kind=\"parent\"}";
const RUNNERS: &str = "flame_relay_connections{kind=\"runner\"}";
const CLOSED: &str = "flame_relay_pairs_ended_total{reason=\"draining\"}";

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_relay_that_drains_is_left_without_losing_a_call,
        new_runners_prefer_a_relay_that_does_not_drain,
        runners_learn_the_addresses_that_follow_those_of_a_draining_relay,
    ]
}

/// A relay whose drain time no test reaches.
fn patient_relay() -> TestRelay {
    TestRelay::start_at(([127, 0, 0, 1], 0).into(), |config| config.drain_time = 60 * MINUTE)
}

/// Waits until a relay that drains has no parent any more, while its runner is still connected: the
/// parent has left because the relay has told it to, and not because the relay has closed everything.
async fn left_by_its_parent(draining: &TestRelay) {
    until("the parent has left the relay that drains", || draining.metric(PARENTS) == 0.0).await;
    assert!(draining.metric(RUNNERS) > 0.0, "the relay keeps the runner's connection");
    assert_eq!(draining.metric(CLOSED), 0.0);
}

async fn a_relay_that_drains_is_left_without_losing_a_call() {
    let relays = [(); 2].map(|()| {
        TestRelay::start_at(([127, 0, 0, 1], 0).into(), |config| {
            config.drain_time = Duration::from_millis(300);
        })
    });
    let option = Relay::new(relays[0].url()).or(relays[1].url()).key(KEY);
    let pool = patient(process_pool("test").max(1).relay(option)).start().await.unwrap();
    let (gate, mut call, pid) = behind_a_gate(&pool).await;
    let (draining, other) = home_and_other(pid, relays);
    assert!(!connected_to(pid).contains(&other.address().port()), "the runner has not moved yet");
    draining.drain();
    tokio::select! {
        ended = &mut call => panic!("the call has ended with its relay: {ended:?}"),
        () = draining.ended() => {}
    }
    assert_eq!(draining.metric(CLOSED), 1.0, "the relay has closed the pair because it drains");
    let has_moved = || connected_to(pid).contains(&other.address().port());
    survives(&mut call, "the runner has moved", has_moved).await;
    assert!(!connected_to(pid).contains(&draining.address().port()), "it has left the old relay");
    gate.open();
    assert_eq!(call.await.unwrap().unwrap(), pid);
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid, "it is the same runner");
    drains_cleanly(&pool, &[pid]).await;
}

async fn new_runners_prefer_a_relay_that_does_not_drain() {
    let relays = [(); 2].map(|()| patient_relay());
    let option = Relay::new(relays[0].url()).or(relays[1].url()).key(KEY);
    let folder = TempDir::new();
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").max(20).max_concurrency(1).relay(option).backend(backend);
    let pool = pool.start().await.unwrap();
    let preferred = |pid: u32| {
        let file = folder.path().join(pid.to_string());
        impostor::flame_parent(&file).addresses.remove(0)
    };
    let (gate, call, pid) = behind_a_gate(&pool).await;
    let (draining, other) = home_and_other(pid, relays);
    assert!(preferred(pid).starts_with(&draining.url()), "{}", preferred(pid));
    draining.drain();
    let mut gated = vec![(gate, call, pid)];
    left_by_its_parent(&draining).await;
    // The parent first closes its connection, and then chooses another home.
    while !preferred(gated.last().unwrap().2).starts_with(&other.url()) {
        assert!(gated.len() < 4, "new runners prefer a relay that their parent has left");
        gated.push(behind_a_gate(&pool).await);
    }
    for (gate, call, pid) in gated {
        gate.open();
        assert_eq!(call.await.unwrap().unwrap(), pid);
    }
    drains_cleanly(&pool, &[]).await;
}

/// With three relays, a runner gets the addresses of three nodes, and no URL. So it connects at a
/// URL only if its parent has sent the URL after the runner's boot.
async fn runners_learn_the_addresses_that_follow_those_of_a_draining_relay() {
    let mut relays = Vec::new();
    for seed in 0..3 {
        relays.push(TestRelay::start_behind_proxy(seed).await);
    }
    let [first, second, third] = [0, 1, 2].map(|at: usize| relays[at].0.url());
    let option = Relay::new(first).or(second).or(third).key(KEY);
    let pool = process_pool("test").max(1).reconnect_timeout(MINUTE).relay(option);
    let pool = pool.start().await.unwrap();
    for (relay, _) in &relays {
        until("the parent is connected to each relay", || relay.metric(PARENTS) == 1.0).await;
    }
    let (gate, call, pid) = behind_a_gate(&pool).await;
    let is_home = |proxy: &Proxy| {
        let address = proxy.address();
        let (_, port) = address.rsplit_once(':').unwrap();
        connected_to(pid).contains(&port.parse().unwrap())
    };
    let home = relays.iter().position(|(_, proxy)| is_home(proxy)).unwrap();
    let (draining, node) = relays.remove(home);
    draining.drain();
    // The parent tells the runner its addresses before these calls end.
    left_by_its_parent(&draining).await;
    for _ in 0..20 {
        pool.call(demo::pid()).await.unwrap();
    }
    // All that the runner knew from its boot is down from now on.
    for proxy in [&node, &relays[0].1, &relays[1].1] {
        proxy.set(Network::Down);
    }
    let address = draining.address();
    drop(draining);
    let _restarted = TestRelay::start_at(address, |_| {});
    gate.open();
    assert_eq!(call.await.unwrap().unwrap(), pid);
    assert!(connected_to(pid).contains(&address.port()));
    drains_cleanly(&pool, &[pid]).await;
}
