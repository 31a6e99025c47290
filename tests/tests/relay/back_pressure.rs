//! Senders wait while a relay is down, or while nothing comes back through it.

use std::time::Duration;

use flame_aws::{Blob, Pool, Relay, channel};
use flame_tests::process::{drains_cleanly, pids};
use flame_tests::proxy::{Direction, Network, Proxy, free_address};
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{Test, demo, process_pool, tests, until};
use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::fixtures::{MINUTE, SECOND};

/// How many bytes of a link may wait for an acknowledgement: the default of `LinkConfig::replay`.
const REPLAY: u64 = 8 << 20;
/// How many calls of 1 MiB are made at a time. Each may send 256 KiB before its receiver has read
/// anything, so together they would fill the replay queue twice.
const CALLS: u64 = 64;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        calls_and_messages_that_fill_the_replay_queue_wait_and_none_is_lost,
        a_parent_without_acknowledgements_sends_what_its_replay_queue_holds_and_no_more,
    ]
}

/// Makes the calls, each with a blob of another length. Each returns how often it was executed.
fn large_calls(pool: &Pool) -> Vec<JoinHandle<u64>> {
    let bytes = demo::bytes(1 << 20).into_bytes();
    let calls = (1..=CALLS).map(|key| {
        let blob = Blob::from(bytes.slice(usize::try_from(key).unwrap()..));
        let call = pool.call(demo::tally(key, blob.clone()));
        tokio::spawn(async move {
            let (count, echo) = call.await.unwrap();
            assert!(echo == blob, "call {key} has the result of another call");
            count
        })
    });
    calls.collect()
}

async fn each_ran_once(calls: Vec<JoinHandle<u64>>) {
    for call in join_all(calls).await {
        assert_eq!(call.unwrap(), 1, "no call runs twice");
    }
}

async fn calls_and_messages_that_fill_the_replay_queue_wait_and_none_is_lost() {
    const CAPACITY: usize = 8;
    let relay = TestRelay::start();
    let (address, option) = (relay.address(), relay.option());
    let pool = process_pool("test").min(1).max(1).max_concurrency(100).timeout(MINUTE);
    let pool = pool.relay(option).start().await.unwrap();
    pool.ready().await;
    let before = pids(&pool);
    let (numbers, receiver) = channel(CAPACITY);
    let (sender, mut squares) = channel(CAPACITY);
    let child = pool.place_child(demo::squares(receiver, sender)).await.unwrap();
    numbers.send(0).await.unwrap();
    assert_eq!(squares.recv().await.unwrap(), Some(0));
    drop(relay);
    let calls = large_calls(&pool);
    let patience = Duration::from_millis(300);
    let mut accepted = 1;
    while let Ok(sent) = tokio::time::timeout(patience, numbers.send(accepted)).await {
        sent.unwrap();
        accepted += 1;
    }
    assert!(accepted <= 1 + 2 * CAPACITY as u64, "{accepted} messages were accepted");
    assert!(calls.iter().all(|call| !call.is_finished()), "the relay is down");
    let relay = TestRelay::start_at(address, |_| {});
    each_ran_once(calls).await;
    for number in 1..accepted {
        assert_eq!(squares.recv().await.unwrap(), Some(number * number));
    }
    drop(numbers);
    assert_eq!(child.join().await.unwrap().unwrap(), accepted);
    assert_eq!(pids(&pool), before, "no runner was lost");
    drains_cleanly(&pool, &before).await;
    drop(relay);
}

/// ```text
/// parent ──▶ proxy ──▶ relay ◀── proxy ◀── runner
///              └ after a while, nothing passes from the relay to the parent
/// ```
async fn a_parent_without_acknowledgements_sends_what_its_replay_queue_holds_and_no_more() {
    let address = free_address();
    let to_runners = Proxy::for_runners(address, 1).await;
    let proxy = Proxy::for_parents(address, 2).await;
    let relay = TestRelay::start_at(address, |config| config.address = Some(to_runners.address()));
    let pool = process_pool("test").min(1).max(1).max_concurrency(100).timeout(MINUTE);
    let pool = pool.relay(Relay::new(proxy.address()).key(KEY));
    let pool = pool.keepalive_timeout(3 * SECOND).reconnect_timeout(MINUTE).start().await.unwrap();
    // Its answer shows that the link is open in both directions.
    pool.call(demo::pid()).await.unwrap();
    let before = pids(&pool);
    let (ended, sent) = (proxy.ended_connections(), proxy.sent_bytes());
    proxy.set(Network::Partitioned(Direction::ToClient));
    let calls = large_calls(&pool);
    // The relay and the runner read all that arrives, so only the queue limits what is sent.
    let is_given_up = || proxy.ended_connections() > ended;
    until("the parent has given up the silent connection", is_given_up).await;
    let sent = proxy.sent_bytes() - sent;
    assert!(
        sent > REPLAY / 2,
        "the calls have not filled the replay queue: {sent} bytes were sent"
    );
    // Beside the queue: the headers of packets, records and frames, pings, and one frame.
    let most = REPLAY + REPLAY / 16;
    assert!(sent <= most, "{sent} bytes were sent, but at most {most} may be unacknowledged");
    proxy.set(Network::Normal);
    each_ran_once(calls).await;
    assert_eq!(pids(&pool), before, "no runner was lost");
    drains_cleanly(&pool, &before).await;
    drop(relay);
}
