//! Calls whose caller has dropped them: no value, slot or child outlives such a call.

use flame_aws::{CallError, Held, Pool};
use flame_tests::demo::{
    channels,
    gates::{self, Gate},
};
use flame_tests::{Test, demo, pool, tests, until};
use futures_util::StreamExt;

pub(crate) fn on_both_backends() -> Vec<Test> {
    tests![
        a_held_result_of_a_cast_is_dropped,
        a_held_result_whose_detached_caller_is_gone_is_dropped,
        a_held_result_of_a_detached_call_lives_as_long_as_its_handles,
        a_held_result_of_a_dropped_child_is_dropped,
        stopping_a_detached_child_frees_its_slot,
        a_held_value_in_a_stream_item_is_rejected_and_dropped,
    ]
}

/// Waits until the only slot is free, and makes a call on it.
async fn becomes_free(pool: &Pool) {
    until("the slot is free", || pool.snapshot().leased == 0).await;
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
}

async fn a_held_result_of_a_cast_is_dropped() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    for _ in 0..3 {
        pool.cast(demo::counter(1)).await.unwrap();
        becomes_free(&pool).await;
    }
    pool.drain().await;
}

async fn a_held_result_whose_detached_caller_is_gone_is_dropped() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated_counter(begun, open).detached()));
    gate.entered().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    gate.open();
    becomes_free(&pool).await;
    pool.drain().await;
}

async fn a_held_result_of_a_detached_call_lives_as_long_as_its_handles() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let counter: Held<_> = pool.call(demo::counter(5).detached()).await.unwrap();
    let next = pool.at(&counter).try_call(demo::next(counter.clone())).await.unwrap();
    assert_eq!(next.0, 5);
    assert_eq!(pool.snapshot().leased, 1);
    drop(counter);
    becomes_free(&pool).await;
    pool.drain().await;
}

async fn a_held_result_of_a_dropped_child_is_dropped() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let work = gates::gated_counter(begun, open).detached();
    let child = pool.place_child(work).await.unwrap();
    gate.entered().await;
    drop(child);
    gate.open();
    becomes_free(&pool).await;
    drop(pool.place_child(demo::counter(1)).await.unwrap());
    becomes_free(&pool).await;
    pool.drain().await;
}

async fn a_held_value_in_a_stream_item_is_rejected_and_dropped() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let mut items = pool.stream(channels::streams_held_values());
    let error = items.next().await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::Codec { what, .. } if what.contains("`Vec`")), "{error}");
    assert!(items.next().await.is_none());
    becomes_free(&pool).await;
    pool.drain().await;
}

async fn stopping_a_detached_child_frees_its_slot() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let child = pool.place_child(demo::forever().detached()).await.unwrap();
    child.stop();
    becomes_free(&pool).await;
    pool.drain().await;
}
