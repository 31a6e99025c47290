//! Relays that are lost while calls are in flight.

use flame_aws::Relay;
use flame_tests::process::{connected_to, drains_cleanly, pids};
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{Test, demo, process_pool, tests, until};
use futures_util::future::join_all;

use crate::fixtures::{MINUTE, behind_a_gate, home_and_other};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        calls_survive_a_relay_that_is_killed_and_started_again,
        calls_survive_the_loss_of_each_of_two_relays_in_turn,
        calls_of_many_runners_resume_through_another_relay_and_run_once,
    ]
}

async fn calls_survive_a_relay_that_is_killed_and_started_again() {
    let relay = TestRelay::start();
    let (address, option) = (relay.address(), relay.option());
    let pool = process_pool("test").max(1).relay(option).start().await.unwrap();
    let (gate, call, pid) = behind_a_gate(&pool).await;
    drop(relay);
    let relay = TestRelay::start_at(address, |_| {});
    gate.open();
    assert_eq!(call.await.unwrap().unwrap(), pid);
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid, "it is the same runner");
    drains_cleanly(&pool, &[pid]).await;
    drop(relay);
}

async fn calls_survive_the_loss_of_each_of_two_relays_in_turn() {
    let relays = [TestRelay::start(), TestRelay::start()];
    let option = Relay::new(relays[0].url()).or(relays[1].url()).key(KEY);
    let pool = process_pool("test").max(1).relay(option).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let mut restarted = Vec::new();
    for relay in relays {
        let (gate, call, _) = behind_a_gate(&pool).await;
        let address = relay.address();
        drop(relay);
        gate.open();
        assert_eq!(call.await.unwrap().unwrap(), pid);
        // Before the other one is lost.
        restarted.push(TestRelay::start_at(address, |_| {}));
    }
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid, "it is the same runner");
    drains_cleanly(&pool, &[pid]).await;
}

async fn calls_of_many_runners_resume_through_another_relay_and_run_once() {
    const RUNNERS: u32 = 6;
    let relays = [TestRelay::start(), TestRelay::start()];
    let option = Relay::new(relays[0].url()).or(relays[1].url()).key(KEY);
    let pool = process_pool("test").min(RUNNERS).max(RUNNERS).max_concurrency(20);
    let pool = pool.relay(option).timeout(MINUTE).start().await.unwrap();
    pool.ready().await;
    let before = pids(&pool);
    let (home, other) = home_and_other(before[0], relays);
    let calls = (0..100).map(|key| {
        let blob = demo::bytes(100_000);
        tokio::spawn(pool.call(demo::tally(key, blob)))
    });
    let calls: Vec<_> = calls.collect();
    // Its port is closed from now on.
    drop(home);
    for call in join_all(calls).await {
        assert_eq!(call.unwrap().unwrap().0, 1, "no call runs twice");
    }
    let port = other.address().port();
    until("all runners are connected to the other relay", || {
        before.iter().all(|pid| connected_to(*pid).contains(&port))
    })
    .await;
    assert_eq!(pids(&pool), before, "no runner was lost");
    drains_cleanly(&pool, &before).await;
}
