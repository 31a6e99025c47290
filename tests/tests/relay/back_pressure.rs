//! Senders wait while a relay is down.

use std::time::Duration;

use flame_aws::channel;
use flame_tests::process::{drains_cleanly, pids};
use flame_tests::relay::TestRelay;
use flame_tests::{Test, demo, process_pool, tests};
use futures_util::future::join_all;

use crate::fixtures::MINUTE;

pub(crate) fn tests() -> Vec<Test> {
    tests![calls_and_messages_that_fill_the_replay_queue_wait_and_none_is_lost,]
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
    // A call has up to 256 KiB in the replay queue, which takes 8 MiB: these would fill it twice.
    let calls = (0..64).map(|key| {
        let blob = demo::bytes(1 << 20);
        let call = pool.call(demo::tally(key, blob.clone()));
        tokio::spawn(async move {
            let (count, echo) = call.await.unwrap();
            assert!(echo == blob, "call {key} has the result of another call");
            count
        })
    });
    let calls: Vec<_> = calls.collect();
    let patience = Duration::from_millis(300);
    let mut accepted = 1;
    while let Ok(sent) = tokio::time::timeout(patience, numbers.send(accepted)).await {
        sent.unwrap();
        accepted += 1;
    }
    assert!(accepted <= 1 + 2 * CAPACITY as u64, "{accepted} messages were accepted");
    assert!(calls.iter().all(|call| !call.is_finished()), "the relay is down");
    let relay = TestRelay::start_at(address, |_| {});
    for call in join_all(calls).await {
        assert_eq!(call.unwrap(), 1, "no call runs twice");
    }
    for number in 1..accepted {
        assert_eq!(squares.recv().await.unwrap(), Some(number * number));
    }
    drop(numbers);
    assert_eq!(child.join().await.unwrap().unwrap(), accepted);
    assert_eq!(pids(&pool), before, "no runner was lost");
    drains_cleanly(&pool, &before).await;
    drop(relay);
}
