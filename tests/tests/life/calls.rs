//! What calls are promised, whatever becomes of their callers.

use std::time::Duration;

use flame_aws::{CallError, PoolEvent, TimeoutPhase};
use flame_tests::mischief::{self, Gate};
use flame_tests::{Test, Watcher, demo, pool, tests, until};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        flame_defect_01_a_timeout_is_spent_once_over_queue_and_run,
        flame_defect_05_a_cast_that_fails_hurts_nobody,
        flame_defect_06_a_detached_call_keeps_its_slot_until_it_ends,
        flame_defect_07_a_child_that_fails_to_start_is_a_typed_error,
        a_large_answer_that_nobody_waits_for_frees_its_slot,
        a_plain_function_that_is_cancelled_keeps_its_slot_until_it_returns,
        a_waiter_that_leaves_the_queue_costs_nothing,
        a_deadline_in_the_queue_is_told_as_such,
        calls_nested_too_deep_are_refused,
        a_thousand_calls_at_once_have_their_own_answers,
    ]
}

const MINUTE: Duration = Duration::from_secs(60);

async fn flame_defect_01_a_timeout_is_spent_once_over_queue_and_run() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let first = tokio::spawn(pool.call(mischief::gated(begun, open)));
    gate.entered().await;
    let made = tokio::time::Instant::now();
    let call = tokio::spawn(pool.call(mischief::time_left().timeout(MINUTE)));
    until("it waits", || pool.snapshot().queued == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let waited = made.elapsed();
    gate.open();
    let left = call.await.unwrap().unwrap().unwrap();
    assert!(left <= MINUTE - waited, "{left:?} of {MINUTE:?} after {waited:?} in the queue");
    first.await.unwrap().unwrap().unwrap();
    // Where the queue takes it all, nothing is left to run with.
    let (mut gate, begun, open) = Gate::new();
    let first = tokio::spawn(pool.call(mischief::gated(begun, open)));
    gate.entered().await;
    let late = pool.call(demo::double(1).timeout(Duration::from_millis(50))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Queue, after, .. }) = late else {
        panic!("{late:?}")
    };
    assert_eq!(after, Duration::from_millis(50));
    gate.open();
    first.await.unwrap().unwrap().unwrap();
    pool.drain().await;
}

async fn flame_defect_05_a_cast_that_fails_hurts_nobody() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    for _ in 0..3 {
        pool.cast(demo::panics("unheard")).await.unwrap();
        pool.cast(demo::panics_plainly()).await.unwrap();
    }
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    pool.drain().await;
    assert!(matches!(pool.cast(demo::double(1)).await, Err(CallError::Draining)));
}

async fn flame_defect_06_a_detached_call_keeps_its_slot_until_it_ends() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated(begun, open).detached()));
    gate.entered().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let full = pool.call(demo::double(1).timeout(Duration::from_millis(100))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Queue, .. }) = full else {
        panic!("{full:?}")
    };
    assert_eq!(pool.snapshot().leased, 1, "its work goes on");
    gate.open();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2, "it has ended");
    assert_eq!(pool.snapshot().runners[0].calls_done, 2);
    pool.drain().await;
}

async fn flame_defect_07_a_child_that_fails_to_start_is_a_typed_error() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let child = pool.place_child(demo::panics("at once")).await.unwrap();
    let error = child.join().await.unwrap_err();
    assert!(matches!(&error, CallError::Panicked { message, .. } if message == "at once"));
    let _busy = pool.place_child(demo::forever()).await.unwrap();
    let late = pool.place_child(demo::forever().timeout(Duration::from_millis(50))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Queue, .. }) = late else {
        panic!("{late:?}")
    };
    drop(_busy);
    pool.drain().await;
    let refused = pool.place_child(demo::forever()).await;
    assert!(matches!(refused, Err(CallError::Draining)), "{refused:?}");
}

async fn a_large_answer_that_nobody_waits_for_frees_its_slot() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let large = demo::bytes(3 << 20);
    for _ in 0..3 {
        pool.cast(demo::echo(large.clone())).await.unwrap();
    }
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated_echo(begun, open, large.clone()).detached()));
    gate.entered().await;
    call.abort();
    gate.open();
    assert_eq!(pool.call(demo::echo(large.clone())).await.unwrap(), large);
    until("all slots are free", || pool.snapshot().leased == 0).await;
    assert_eq!(pool.snapshot().runners[0].calls_done, 5);
    pool.drain().await;
}

async fn a_plain_function_that_is_cancelled_keeps_its_slot_until_it_returns() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated_plainly(begun, open)));
    gate.entered().await;
    call.abort();
    watcher.next(|e| matches!(e, PoolEvent::CallFinished { ok: false, .. }).then_some(())).await;
    let full = pool.call(demo::double(1).timeout(Duration::from_millis(100))).await;
    assert!(matches!(full, Err(CallError::Timeout { phase: TimeoutPhase::Queue, .. })), "{full:?}");
    gate.open();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    pool.drain().await;
}

async fn a_waiter_that_leaves_the_queue_costs_nothing() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let first = tokio::spawn(pool.call(mischief::gated(begun, open)));
    gate.entered().await;
    let waiting: Vec<_> = (0..50).map(|n| tokio::spawn(pool.call(demo::double(n)))).collect();
    until("they wait", || pool.snapshot().queued == 50).await;
    waiting.iter().skip(1).for_each(tokio::task::JoinHandle::abort);
    until("one waits", || pool.snapshot().queued == 1).await;
    gate.open();
    first.await.unwrap().unwrap().unwrap();
    let mut waiting = waiting.into_iter();
    assert_eq!(waiting.next().unwrap().await.unwrap().unwrap(), 0);
    until("all slots are free", || pool.snapshot().leased == 0).await;
    assert_eq!(pool.snapshot().runners[0].calls_done, 2);
    pool.drain().await;
}

async fn a_deadline_in_the_queue_is_told_as_such() {
    let pool = pool("test").max(1).max_concurrency(1).timeout(Duration::from_millis(500));
    let pool = pool.start().await.unwrap();
    pool.call(demo::double(1).timeout(MINUTE)).await.unwrap();
    let child = pool.place_child(demo::forever()).await.unwrap();
    let late = pool.call(demo::double(1)).await.unwrap_err();
    assert!(matches!(late, CallError::Timeout { phase: TimeoutPhase::Queue, .. }), "{late:?}");
    assert!(late.to_string().contains("waiting for a free slot"), "{late}");
    child.stop();
    let late = pool.call(demo::forever()).await.unwrap_err();
    assert!(matches!(late, CallError::Timeout { phase: TimeoutPhase::Run, .. }), "{late:?}");
    pool.drain().await;
}

async fn calls_nested_too_deep_are_refused() {
    let pool = pool("test").max(1).max_depth(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    // On the runner no pool of that depth can be started.
    let refused = pool.call(mischief::boots_at_depth(1)).await.unwrap();
    assert!(refused.unwrap_err().to_string().contains("nested"));
    assert!(pool.call(mischief::boots_at_depth(2)).await.unwrap().is_ok());
    pool.drain().await;
}

async fn a_thousand_calls_at_once_have_their_own_answers() {
    let pool = pool("test").max(2).max_concurrency(8).timeout(MINUTE).start().await.unwrap();
    let calls = (0..1000).map(|n| pool.call(demo::double(n)));
    let answers = futures_util::future::join_all(calls).await;
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(answer.unwrap(), 2 * n);
    }
    until("all slots are free", || pool.snapshot().leased == 0).await;
    pool.drain().await;
}
