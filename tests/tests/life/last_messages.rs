//! Messages that a channel has accepted and nobody has read when their runner shuts down.

use std::time::Duration;

use flame_aws::{Blob, ChannelError, Pool, PoolBuilder, Receiver, RunnerState, channel};
use flame_tests::demo::channels;
use flame_tests::process::{drains_cleanly, pids, signal, until_gone};
use flame_tests::{Test, process_pool, tests, until};
use futures_util::future::join_all;
use rustix::process::Signal;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_last_messages_of_single_use_runners_arrive,
        the_last_messages_arrive_however_their_runner_ends,
        the_last_messages_of_a_drained_runner_arrive,
        unread_messages_delay_a_runners_exit_by_at_most_the_shutdown_timeout,
    ]
}

const CAPACITY: usize = 8;
/// How many messages a channel accepts although nobody reads them.
const COUNT: usize = 2 * CAPACITY;

fn pool() -> PoolBuilder {
    process_pool("test").max(4)
}

/// Calls a function that sends `COUNT` messages and returns, and reads none of them yet.
async fn sent_and_unread(pool: &Pool, bytes: usize) -> Receiver<Blob> {
    let (out, received) = channel(CAPACITY);
    let accepted = pool.call(channels::sends_messages(out, COUNT, bytes)).await.unwrap();
    assert_eq!(accepted, COUNT);
    received
}

/// Reads a channel to its end. Returns how many messages arrived, and the error if there was one.
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

async fn check_all_arrive(received: Receiver<Blob>) {
    let (count, error) = read(received).await;
    assert!(
        count == COUNT && error.is_none(),
        "{count} of {COUNT} messages arrived, then {error:?}"
    );
}

async fn the_last_messages_of_single_use_runners_arrive() {
    let pool = pool().single_use(true).start().await.unwrap();
    for bytes in [10, 100_000] {
        let rounds =
            (0..20).map(async |_| check_all_arrive(sent_and_unread(&pool, bytes).await).await);
        join_all(rounds).await;
    }
    drains_cleanly(&pool, &[]).await;
}

/// Waits until the pool's runner takes no more calls.
async fn until_retiring(pool: &Pool) {
    until("the runner takes no more calls", || {
        pool.snapshot().runners.iter().all(|runner| runner.state != RunnerState::Up)
    })
    .await;
}

async fn the_last_messages_arrive_however_their_runner_ends() {
    /// Sets the option that makes the runner shut down.
    type Setup = fn(PoolBuilder) -> PoolBuilder;
    const SHORT: Duration = Duration::from_millis(100);
    let idle = |pool: PoolBuilder| pool.idle_shutdown_after(SHORT);
    let max_lifetime = |pool: PoolBuilder| pool.max_lifetime(4 * SHORT);
    let terminated = |pool: PoolBuilder| pool;
    let cases: [(Setup, bool); 3] = [(idle, false), (max_lifetime, false), (terminated, true)];
    for (setup, is_terminated) in cases {
        for bytes in [10, 100_000] {
            let pool = setup(pool()).start().await.unwrap();
            let received = sent_and_unread(&pool, bytes).await;
            let before = pids(&pool);
            if is_terminated {
                signal(before[0], Signal::TERM);
            }
            until_retiring(&pool).await;
            check_all_arrive(received).await;
            until_gone(&before).await;
            drains_cleanly(&pool, &before).await;
        }
    }
}

async fn the_last_messages_of_a_drained_runner_arrive() {
    for bytes in [10, 100_000] {
        let pool = pool().start().await.unwrap();
        let received = sent_and_unread(&pool, bytes).await;
        let before = pids(&pool);
        let draining = tokio::spawn({
            let pool = pool.clone();
            async move { pool.drain().await }
        });
        until_retiring(&pool).await;
        check_all_arrive(received).await;
        draining.await.unwrap();
        drains_cleanly(&pool, &before).await;
    }
}

async fn unread_messages_delay_a_runners_exit_by_at_most_the_shutdown_timeout() {
    let pool = pool().single_use(true).shutdown_timeout(Duration::from_secs(1));
    let pool = pool.start().await.unwrap();
    let received = sent_and_unread(&pool, 100_000).await;
    let before = pids(&pool);
    until_gone(&before).await;
    let (count, error) = read(received).await;
    // Lost messages end the channel with an error.
    let Some(ChannelError::Lost { reason }) = error else { panic!("{count}, {error:?}") };
    assert!(reason.contains("its runner ended before the channel was drained"), "{reason}");
    assert!(count < COUNT, "{count}");
    drains_cleanly(&pool, &before).await;
}
