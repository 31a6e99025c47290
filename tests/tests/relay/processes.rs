//! The program `flame-relay`, killed and stopped.

use std::net::SocketAddr;

use flame_tests::process::{drains_cleanly, pids};
use flame_tests::proxy::{Proxy, free_address};
use flame_tests::relay::program::{self, RelayCommand, RelayProgram};
use flame_tests::{TempDir, Test, demo, process_pool, tests};
use futures_util::future::join_all;
use rustix::process::Signal;

use crate::fixtures::{MINUTE, behind_a_gate, patient, survives};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        calls_in_flight_survive_a_relay_that_is_killed_and_started_again,
        calls_in_flight_survive_a_relay_that_is_silent_for_too_long,
    ]
}

async fn relay_at(address: SocketAddr, flags: &[&str]) -> RelayProgram {
    let folder = TempDir::new();
    let command = RelayCommand::new(address, flags, &folder.path().join("log"));
    command.start(&program::executable().await).await.expect("the port is free")
}

async fn calls_in_flight_survive_a_relay_that_is_killed_and_started_again() {
    let relay = relay_at(free_address(), &[]).await;
    let pool = process_pool("test").min(2).max(2).max_concurrency(100).timeout(MINUTE);
    let pool = patient(pool.relay(relay.option())).start().await.unwrap();
    pool.ready().await;
    let before = pids(&pool);
    let (gate, gated, pid) = behind_a_gate(&pool).await;
    let calls = (0..100).map(|key| {
        let blob = demo::bytes(100_000);
        tokio::spawn(pool.call(demo::tally(key, blob)))
    });
    let calls: Vec<_> = calls.collect();
    let relay = relay_at(relay.kill(), &[]).await;
    for call in join_all(calls).await {
        assert_eq!(call.unwrap().unwrap().0, 1, "no call runs twice");
    }
    gate.open();
    assert_eq!(gated.await.unwrap().unwrap(), pid);
    assert_eq!(pids(&pool), before, "no runner was lost");
    drains_cleanly(&pool, &before).await;
    drop(relay);
}

async fn calls_in_flight_survive_a_relay_that_is_silent_for_too_long() {
    let address = free_address();
    let to_runners = Proxy::for_runners(address, 1).await;
    let relay = relay_at(address, &["--address", &to_runners.address()]).await;
    let pool = patient(process_pool("test").max(1).relay(relay.option())).start().await.unwrap();
    let (gate, mut gated, pid) = behind_a_gate(&pool).await;
    let connections = to_runners.connections();
    relay.stop().await;
    let during = tokio::spawn(pool.call(demo::tally(1, demo::bytes(100_000)).timeout(MINUTE)));
    let is_given_up = || to_runners.connections() > connections;
    survives(&mut gated, "the runner has given up its connection", is_given_up).await;
    assert!(!during.is_finished(), "the relay is stopped");
    relay.signal(Signal::CONT);
    assert_eq!(during.await.unwrap().unwrap().0, 1);
    gate.open();
    assert_eq!(gated.await.unwrap().unwrap(), pid);
    drains_cleanly(&pool, &[pid]).await;
}
