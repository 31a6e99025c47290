//! What goes on while its reader is slow, and how far ahead of the reader it gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flame_aws::{CallError, Pool, channel};
use flame_tests::mischief::{self, Gate};
use flame_tests::{Test, demo, pool, process_pool, tests, until};
use futures_util::StreamExt;

pub(crate) fn on_both() -> Vec<Test> {
    tests![
        map_makes_calls_that_nobody_polls,
        map_takes_no_more_works_than_there_are_slots_ahead_of_its_reader,
        a_map_that_is_dropped_cancels_its_calls,
        map_gives_each_error_in_its_place,
        a_channel_to_a_function_that_does_not_read_is_full_at_twice_its_capacity,
        a_channel_from_a_function_is_full_at_twice_its_capacity,
        channels_that_have_ended_leave_room_for_others,
    ]
}

pub(crate) fn once() -> Vec<Test> {
    tests![a_stream_that_nobody_reads_is_a_fixed_number_of_items_ahead]
}

const SHORT: Duration = Duration::from_millis(300);

/// Waits until a function that notes its calls was called with all of these keys.
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

/// Keys of one test on one backend.
fn keys(count: u64) -> std::ops::Range<u64> {
    let first = rand::random::<u64>() >> 8;
    first..first + count
}

async fn map_makes_calls_that_nobody_polls() {
    let pool = pool("test").max(1).max_concurrency(4).start().await.unwrap();
    let keys = keys(100);
    let first = keys.start;
    let works = keys.map(|key| demo::tally(key, demo::bytes(1)).timeout(None));
    let mut results = pool.map(works);
    // Four are under way at once; each result that is read makes room for one more.
    for read in 1..10 {
        results.next().await.unwrap().unwrap();
        until_tallied(&pool, first..first + 4 + read - 1).await;
    }
    drop(results);
    pool.drain().await;
}

async fn map_takes_no_more_works_than_there_are_slots_ahead_of_its_reader() {
    let pool = pool("test").max(1).max_concurrency(4).start().await.unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    let works = (0..100).map(move |n| {
        counter.fetch_add(1, Ordering::SeqCst);
        demo::double(n)
    });
    let mut results = pool.map(works);
    assert_eq!(taken.load(Ordering::SeqCst), 0, "nothing is taken before it is polled");
    for n in 0..20 {
        assert_eq!(results.next().await.unwrap().unwrap(), 2 * n);
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken <= 4 + n as usize, "{taken} were taken for {n}");
        until("the calls are done", || pool.snapshot().leased == 0).await;
    }
    drop(results);
    pool.drain().await;
}

async fn a_map_that_is_dropped_cancels_its_calls() {
    let pool = pool("test").max(1).max_concurrency(2).start().await.unwrap();
    let mut results = pool.map((0..10).map(|_| demo::forever().timeout(None)));
    let polled = tokio::time::timeout(SHORT, results.next()).await;
    assert!(polled.is_err());
    until("its calls are under way", || pool.snapshot().leased == 2).await;
    drop(results);
    until("its slots are free", || pool.snapshot().leased == 0).await;
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    pool.drain().await;
}

async fn map_gives_each_error_in_its_place() {
    let pool = pool("test").max(1).max_concurrency(2).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let works = vec![
        mischief::gated(begun, open).timeout(None),
        mischief::gated(channel(1).0, channel(1).1).timeout(Duration::ZERO),
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
    let child = pool.place_child(mischief::keeps(vec![receiver])).await.unwrap();
    let mut accepted = 0;
    while let Ok(sent) = tokio::time::timeout(SHORT, sender.send(())).await {
        sent.unwrap();
        accepted += 1;
        assert!(accepted <= 16, "it does not end");
    }
    assert!(accepted >= 8, "{accepted}");
    child.stop();
    pool.drain().await;
}

async fn a_channel_from_a_function_is_full_at_twice_its_capacity() {
    let pool = pool("test").max(1).start().await.unwrap();
    let (sender, mut receiver) = channel(8);
    let accepted = pool.call(mischief::fills(sender)).await.unwrap();
    assert!((8..=16).contains(&accepted), "{accepted}");
    for number in 0..accepted {
        assert_eq!(receiver.recv().await.unwrap(), Some(number));
    }
    assert_eq!(receiver.recv().await.unwrap(), None);
    pool.drain().await;
}

async fn a_stream_that_nobody_reads_is_a_fixed_number_of_items_ahead() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut items = pool.stream(demo::endless().timeout(None));
    let first = items.next().await.unwrap().unwrap();
    // Nobody tells that it has stopped. One that goes on is beyond the limit soon.
    let mut made = 0;
    let asked = async {
        loop {
            let now = pool.call(mischief::endless_made()).await.unwrap() - first;
            assert!(now <= 257, "{now} items were made for one that was read");
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

async fn channels_that_have_ended_leave_room_for_others() {
    let pool = pool("test").max(1).timeout(None).start().await.unwrap();
    // Together more than a link has room for.
    for _ in 0..300 {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..250).map(|_| channel::<u64>(1)).unzip();
        drop(senders);
        let ended = pool.call(mischief::ended(receivers)).await.unwrap();
        assert_eq!(ended, 250);
    }
    pool.drain().await;
}
