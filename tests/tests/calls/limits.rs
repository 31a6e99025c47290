//! Calls beyond a runner's limits.

use flame_aws::backend::Local;
use flame_aws::{CallError, Pool, channel};
use flame_tests::demo::{channels, nesting};
use flame_tests::{Test, demo, pool, tests, until};

pub(crate) fn on_one_backend() -> Vec<Test> {
    tests![a_runner_at_its_channel_limit_rejects_the_next_call,]
}

/// Tests that keep their pool in a static of this process, and so run once.
pub(crate) fn run_once() -> Vec<Test> {
    tests![endless_recursion_is_rejected_at_the_highest_max_depth,]
}

async fn a_runner_at_its_channel_limit_rejects_the_next_call() {
    let pool = pool("test").max(1).max_concurrency(1000).timeout(None).start().await.unwrap();
    let (mut children, mut open) = (Vec::new(), Vec::new());
    let full = loop {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..256).map(|_| channel(1)).unzip();
        // A channel without senders is closed, and does not count.
        open.extend(senders);
        match pool.place_child(channels::keeps_channels_open(receivers)).await {
            Ok(child) => children.push(child),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, CallError::RunnerFull { limit: 65_536, .. }), "{full:?}");
    assert_eq!(children.len(), 65_536 / 257);
    assert_eq!(pool.snapshot().leased, children.len(), "the rejected call has no slot");
    drop(children);
    until("every slot is free", || pool.snapshot().leased == 0).await;
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    pool.drain().await;
}

async fn endless_recursion_is_rejected_at_the_highest_max_depth() {
    let pool = Pool::builder("test").backend(Local::new()).max(1).max_concurrency(1000);
    let pool = pool.max_depth(u8::MAX).start().await.unwrap();
    let rejected = nesting::call_without_end(&pool).await.unwrap().unwrap_err().to_string();
    assert_eq!(rejected, CallError::DepthExceeded { limit: u8::MAX }.to_string());
    pool.drain().await;
}
