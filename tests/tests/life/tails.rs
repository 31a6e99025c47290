//! What functions have sent on channels when their runner ends.

use std::time::Duration;

use flame_aws::{Blob, ChannelError, Pool, PoolBuilder, Receiver, RunnerState, channel};
use flame_tests::mischief;
use flame_tests::process::{ends_clean, pids, signal, until_gone};
use flame_tests::{Test, process_pool, tests, until};
use futures_util::future::join_all;
use rustix::process::Signal;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_last_messages_of_single_use_runners_arrive,
        the_last_messages_arrive_however_their_runner_ends,
        the_last_messages_of_a_runner_that_its_pool_drains_arrive,
        messages_that_nobody_reads_hold_no_runner_beyond_its_window,
    ]
}

const CAPACITY: usize = 8;
/// As many as are accepted although nobody reads.
const COUNT: usize = 2 * CAPACITY;

fn pool() -> PoolBuilder {
    process_pool("test").max(4)
}

/// Calls a function that has sent all of its messages, of which nobody has read any, and ended.
async fn produced(pool: &Pool, bytes: usize) -> Receiver<Blob> {
    let (out, received) = channel(CAPACITY);
    let accepted = pool.call(mischief::produces(out, COUNT, bytes)).await.unwrap();
    assert_eq!(accepted, COUNT);
    received
}

/// Reads to the end: how many messages there were, and whether it was a clean end.
async fn read(mut received: Receiver<Blob>) -> (usize, Option<ChannelError>) {
    let mut count = 0;
    loop {
        match received.recv().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error)),
        }
    }
}

async fn arrives_whole(received: Receiver<Blob>) {
    let (count, error) = read(received).await;
    assert!(count == COUNT && error.is_none(), "{count} of {COUNT} came, then {error:?}");
}

async fn the_last_messages_of_single_use_runners_arrive() {
    let pool = pool().single_use(true).start().await.unwrap();
    for bytes in [10, 100_000] {
        let rounds = (0..20).map(async |_| arrives_whole(produced(&pool, bytes).await).await);
        join_all(rounds).await;
    }
    ends_clean(&pool, &[]).await;
}

/// Waits until the one runner takes no more calls.
async fn until_it_leaves(pool: &Pool) {
    until("its runner is on its way out", || {
        pool.snapshot().runners.iter().all(|runner| runner.state != RunnerState::Up)
    })
    .await;
}

async fn the_last_messages_arrive_however_their_runner_ends() {
    /// Sets the option by which the runner ends.
    type Way = fn(PoolBuilder) -> PoolBuilder;
    const SHORT: Duration = Duration::from_millis(100);
    let idle = |pool: PoolBuilder| pool.idle_shutdown_after(SHORT);
    let max_lifetime = |pool: PoolBuilder| pool.max_lifetime(4 * SHORT);
    let terminated = |pool: PoolBuilder| pool;
    let ways: [(Way, bool); 3] = [(idle, false), (max_lifetime, false), (terminated, true)];
    for (way, is_terminated) in ways {
        for bytes in [10, 100_000] {
            let pool = way(pool()).start().await.unwrap();
            let received = produced(&pool, bytes).await;
            let before = pids(&pool);
            if is_terminated {
                signal(before[0], Signal::TERM);
            }
            until_it_leaves(&pool).await;
            arrives_whole(received).await;
            until_gone(&before).await;
            ends_clean(&pool, &before).await;
        }
    }
}

async fn the_last_messages_of_a_runner_that_its_pool_drains_arrive() {
    for bytes in [10, 100_000] {
        let pool = pool().start().await.unwrap();
        let received = produced(&pool, bytes).await;
        let before = pids(&pool);
        let draining = tokio::spawn({
            let pool = pool.clone();
            async move { pool.drain().await }
        });
        until_it_leaves(&pool).await;
        arrives_whole(received).await;
        draining.await.unwrap();
        ends_clean(&pool, &before).await;
    }
}

async fn messages_that_nobody_reads_hold_no_runner_beyond_its_window() {
    let pool = pool().single_use(true).shutdown_timeout(Duration::from_secs(1));
    let pool = pool.start().await.unwrap();
    let received = produced(&pool, 100_000).await;
    let before = pids(&pool);
    until_gone(&before).await;
    let (count, error) = read(received).await;
    // What is lost does not look like the end of the channel.
    let Some(ChannelError::Lost { reason }) = error else { panic!("{count}, {error:?}") };
    assert!(reason.contains("its runner ended before the channel was drained"), "{reason}");
    assert!(count < COUNT, "{count}");
    ends_clean(&pool, &before).await;
}
