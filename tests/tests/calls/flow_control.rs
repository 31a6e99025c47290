//! How far maps, channels and streams get ahead of a slow reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flame_aws::{CallError, Pool, channel};
use flame_tests::demo::{
    channels,
    gates::{self, Gate},
};
use flame_tests::{Test, demo, pool, process_pool, tests, until};
use futures_util::StreamExt;

pub(crate) fn on_both_backends() -> Vec<Test> {
    tests![
        map_makes_its_calls_without_being_polled,
        map_takes_works_ahead_of_its_reader_up_to_the_number_of_slots,
        dropping_a_map_cancels_its_calls,
        map_yields_each_error_in_its_place,
        a_channel_to_a_function_that_does_not_read_is_full_at_twice_its_capacity,
        a_channel_from_a_function_is_full_at_twice_its_capacity,
        closed_channels_make_room_for_others,
    ]
}

pub(crate) fn on_one_backend() -> Vec<Test> {
    tests![an_unread_stream_is_a_bounded_number_of_items_ahead]
}

const SHORT: Duration = Duration::from_millis(300);

/// Waits until [`demo::tally`] has been called with all of these keys.
async fn until_tallied(pool: &Pool, keys: std::ops::Range<u64>) {
    let called = async {
        loop {
            let tallied = pool.call(demo::tallied()).await.unwrap();
            let count = tallied.iter().filter(|(key, _)| keys.contains(key)).count() as u64;
            if count == keys.end - keys.start {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let called = tokio::time::timeout(Duration::from_secs(20), called).await;
    called.unwrap_or_else(|_| panic!("not all of {keys:?} were called"));
}

/// Returns keys that no other test uses.
fn keys(count: u64) -> std::ops::Range<u64> {
    let first = rand::random::<u64>() >> 8;
    first..first + count
}

async fn map_makes_its_calls_without_being_polled() {
    let pool = pool("test").max(1).max_concurrency(4).start().await.unwrap();
    let keys = keys(100);
    let first = keys.start;
    let works = keys.map(|key| demo::tally(key, demo::bytes(1)).timeout(None));
    let mut results = pool.map(works);
    // Four calls are under way at a time, and each result that is read makes room for another.
    for read in 1..10 {
        results.next().await.unwrap().unwrap();
        until_tallied(&pool, first..first + 4 + read - 1).await;
    }
    drop(results);
    pool.drain().await;
}

async fn map_takes_works_ahead_of_its_reader_up_to_the_number_of_slots() {
    let pool = pool("test").max(1).max_concurrency(4).start().await.unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    let works = (0..100).map(move |n| {
        counter.fetch_add(1, Ordering::SeqCst);
        demo::double(n)
    });
    let mut results = pool.map(works);
    assert_eq!(taken.load(Ordering::SeqCst), 0, "no work is taken before the first poll");
    for n in 0..20 {
        assert_eq!(results.next().await.unwrap().unwrap(), 2 * n);
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken <= 4 + n as usize, "{taken} works were taken when {n} results were read");
        until("no call is under way", || pool.snapshot().leased == 0).await;
    }
    drop(results);
    pool.drain().await;
}

async fn dropping_a_map_cancels_its_calls() {
    let pool = pool("test").max(1).max_concurrency(2).start().await.unwrap();
    let mut results = pool.map((0..10).map(|_| demo::forever().timeout(None)));
    let polled = tokio::time::timeout(SHORT, results.next()).await;
    assert!(polled.is_err());
    until("both calls are under way", || pool.snapshot().leased == 2).await;
    drop(results);
    until("every slot is free", || pool.snapshot().leased == 0).await;
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    pool.drain().await;
}

async fn map_yields_each_error_in_its_place() {
    let pool = pool("test").max(1).max_concurrency(2).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let works = vec![
        gates::gated(begun, open).timeout(None),
        gates::gated(channel(1).0, channel(1).1).timeout(Duration::ZERO),
    ];
    let results = tokio::spawn(pool.map(works).collect::<Vec<_>>());
    gate.entered().await;
    gate.open();
    let results = results.await.unwrap();
    assert!(matches!(results[0], Ok(Ok(_))), "{results:?}");
    let late = matches!(results[1], Err(CallError::Timeout { .. }));
    assert!(late && results.len() == 2, "{results:?}");
    pool.drain().await;
}

async fn a_channel_to_a_function_that_does_not_read_is_full_at_twice_its_capacity() {
    let pool = pool("test").max(1).start().await.unwrap();
    let (sender, receiver) = channel(8);
    let child = pool.place_child(channels::keeps_channels_open(vec![receiver])).await.unwrap();
    let mut accepted = 0;
    while let Ok(sent) = tokio::time::timeout(SHORT, sender.send(())).await {
        sent.unwrap();
        accepted += 1;
        assert!(accepted <= 16, "the channel accepts more than twice its capacity");
    }
    assert!(accepted >= 8, "{accepted}");
    child.stop();
    pool.drain().await;
}

async fn a_channel_from_a_function_is_full_at_twice_its_capacity() {
    let pool = pool("test").max(1).start().await.unwrap();
    let (sender, mut receiver) = channel(8);
    let accepted = pool.call(channels::sends_until_full(sender)).await.unwrap();
    assert!((8..=16).contains(&accepted), "{accepted}");
    for number in 0..accepted {
        assert_eq!(receiver.recv().await.unwrap(), Some(number));
    }
    assert_eq!(receiver.recv().await.unwrap(), None);
    pool.drain().await;
}

async fn an_unread_stream_is_a_bounded_number_of_items_ahead() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut items = pool.stream(demo::endless().timeout(None));
    let first = items.next().await.unwrap().unwrap();
    // No event reports that the stream is paused, so the test polls until the count stays the same.
    // A stream without flow control would soon exceed the limit.
    let mut made = 0;
    let asked = async {
        loop {
            let now = pool.call(channels::endless_items_made()).await.unwrap() - first;
            assert!(now <= 257, "{now} items were made when one was read");
            if now == made && now > 100 {
                return;
            }
            made = now;
            tokio::time::sleep(SHORT).await;
        }
    };
    asked.await;
    for n in 1..1000 {
        assert_eq!(items.next().await.unwrap().unwrap(), first + n);
    }
    drop(items);
    pool.drain().await;
}

async fn closed_channels_make_room_for_others() {
    let pool = pool("test").max(1).timeout(None).start().await.unwrap();
    // In total these are more channels than a link can have open at a time.
    for _ in 0..300 {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..250).map(|_| channel::<u64>(1)).unzip();
        drop(senders);
        let ended = pool.call(channels::count_closed_channels(receivers)).await.unwrap();
        assert_eq!(ended, 250);
    }
    pool.drain().await;
}
