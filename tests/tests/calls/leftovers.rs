//! What is left of a call that nobody waits for: nothing. And what there is no room for.

use flame_aws::backend::Local;
use flame_aws::{CallError, Held, Pool, channel};
use flame_tests::mischief::{self, Gate};
use flame_tests::{Test, demo, pool, tests, until};
use futures_util::StreamExt;

pub(crate) fn on_both() -> Vec<Test> {
    tests![
        a_held_result_of_a_cast_is_let_go,
        a_held_result_whose_detached_caller_has_gone_is_let_go,
        a_held_result_of_a_detached_call_lives_as_long_as_its_handles,
        a_held_result_of_a_child_that_was_dropped_is_let_go,
        a_detached_child_that_is_stopped_frees_its_slot,
        a_held_value_in_an_item_of_a_stream_is_refused_and_not_kept,
    ]
}

pub(crate) fn once() -> Vec<Test> {
    tests![
        a_runner_with_all_the_channels_that_it_can_have_refuses_the_next_call,
        a_recursion_without_end_is_refused_under_the_highest_limit,
    ]
}

/// Waits until no slot is taken, and takes the only one.
async fn comes_free(pool: &Pool) {
    until("the slot is free", || pool.snapshot().leased == 0).await;
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
}

async fn a_held_result_of_a_cast_is_let_go() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    for _ in 0..3 {
        pool.cast(demo::counter(1)).await.unwrap();
        comes_free(&pool).await;
    }
    pool.drain().await;
}

async fn a_held_result_whose_detached_caller_has_gone_is_let_go() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated_counter(begun, open).detached()));
    gate.entered().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    gate.open();
    comes_free(&pool).await;
    pool.drain().await;
}

async fn a_held_result_of_a_detached_call_lives_as_long_as_its_handles() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let counter: Held<_> = pool.call(demo::counter(5).detached()).await.unwrap();
    let next = pool.at(&counter).try_call(demo::next(counter.clone())).await.unwrap();
    assert_eq!(next.0, 5);
    assert_eq!(pool.snapshot().leased, 1);
    drop(counter);
    comes_free(&pool).await;
    pool.drain().await;
}

async fn a_held_result_of_a_child_that_was_dropped_is_let_go() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let work = mischief::gated_counter(begun, open).detached();
    let child = pool.place_child(work).await.unwrap();
    gate.entered().await;
    drop(child);
    gate.open();
    comes_free(&pool).await;
    drop(pool.place_child(demo::counter(1)).await.unwrap());
    comes_free(&pool).await;
    pool.drain().await;
}

async fn a_held_value_in_an_item_of_a_stream_is_refused_and_not_kept() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let mut items = pool.stream(mischief::gives_counters());
    let error = items.next().await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::Codec { what, .. } if what.contains("`Vec`")), "{error}");
    assert!(items.next().await.is_none());
    comes_free(&pool).await;
    pool.drain().await;
}

async fn a_detached_child_that_is_stopped_frees_its_slot() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let child = pool.place_child(demo::forever().detached()).await.unwrap();
    child.stop();
    comes_free(&pool).await;
    pool.drain().await;
}

async fn a_runner_with_all_the_channels_that_it_can_have_refuses_the_next_call() {
    let pool = pool("test").max(1).max_concurrency(1000).timeout(None).start().await.unwrap();
    let (mut children, mut kept) = (Vec::new(), Vec::new());
    let full = loop {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..256).map(|_| channel(1)).unzip();
        // A channel whose senders are gone has ended, and takes no room.
        kept.extend(senders);
        match pool.place_child(mischief::keeps(receivers)).await {
            Ok(child) => children.push(child),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, CallError::RunnerFull { limit: 65_536, .. }), "{full:?}");
    assert_eq!(children.len(), 65_536 / 257);
    assert_eq!(pool.snapshot().leased, children.len(), "the call that was refused has no slot");
    drop(children);
    comes_free(&pool).await;
    pool.drain().await;
}

async fn a_recursion_without_end_is_refused_under_the_highest_limit() {
    let pool = Pool::builder("test").backend(Local::new()).max(1).max_concurrency(1000);
    let pool = pool.max_depth(u8::MAX).start().await.unwrap();
    let refused = mischief::call_endlessly(&pool).await.unwrap().unwrap_err().to_string();
    assert_eq!(refused, CallError::DepthExceeded { limit: u8::MAX }.to_string());
    pool.drain().await;
}
