//! Slots and the queue: every call gives its slot back, whatever happens to its caller.

use std::time::Duration;

use flame_aws::metrics::CallOutcome;
use flame_aws::{CallError, PoolEvent, TimeoutPhase};
use flame_tests::demo::{
    gates::{self, Gate},
    nesting, probes,
};
use flame_tests::{Test, Watcher, demo, pool, tests, until};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        flame_defect_01_one_timeout_covers_queue_and_run,
        flame_defect_05_a_failing_cast_affects_no_other_call,
        flame_defect_06_a_detached_call_keeps_its_slot_until_it_ends,
        flame_defect_07_a_child_that_fails_to_start_is_a_typed_error,
        an_abandoned_large_result_frees_its_slot,
        a_cancelled_plain_function_keeps_its_slot_until_it_returns,
        a_queued_call_that_is_cancelled_takes_no_slot,
        a_timeout_says_in_which_phase_the_time_ran_out,
        calls_beyond_max_depth_are_rejected,
        a_thousand_concurrent_calls_get_their_own_results,
    ]
}

const MINUTE: Duration = Duration::from_secs(60);

async fn flame_defect_01_one_timeout_covers_queue_and_run() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let first = tokio::spawn(pool.call(gates::gated(begun, open)));
    gate.entered().await;
    let made = tokio::time::Instant::now();
    let call = tokio::spawn(pool.call(probes::time_left().timeout(MINUTE)));
    until("the call is queued", || pool.snapshot().queued == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let waited = made.elapsed();
    gate.open();
    let left = call.await.unwrap().unwrap().unwrap();
    assert!(left <= MINUTE - waited, "{left:?} of {MINUTE:?} after {waited:?} in the queue");
    first.await.unwrap().unwrap().unwrap();
    // A call whose whole time passes in the queue times out there.
    let (mut gate, begun, open) = Gate::new();
    let first = tokio::spawn(pool.call(gates::gated(begun, open)));
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

async fn flame_defect_05_a_failing_cast_affects_no_other_call() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    for _ in 0..3 {
        pool.cast(demo::panics("in a cast")).await.unwrap();
        pool.cast(demo::panics_plainly()).await.unwrap();
    }
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    pool.drain().await;
    assert!(matches!(pool.cast(demo::double(1)).await, Err(CallError::Draining)));
}

async fn flame_defect_06_a_detached_call_keeps_its_slot_until_it_ends() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open).detached()));
    gate.entered().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let full = pool.call(demo::double(1).timeout(Duration::from_millis(100))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Queue, .. }) = full else {
        panic!("{full:?}")
    };
    assert_eq!(pool.snapshot().leased, 1, "the detached call is still under way");
    gate.open();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2, "the detached call has finished");
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
    let rejected = pool.place_child(demo::forever()).await;
    assert!(matches!(rejected, Err(CallError::Draining)), "{rejected:?}");
}

async fn an_abandoned_large_result_frees_its_slot() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let large = demo::bytes(3 << 20);
    for _ in 0..3 {
        pool.cast(demo::echo(large.clone())).await.unwrap();
    }
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated_echo(begun, open, large.clone()).detached()));
    gate.entered().await;
    call.abort();
    gate.open();
    assert_eq!(pool.call(demo::echo(large.clone())).await.unwrap(), large);
    until("every slot is free", || pool.snapshot().leased == 0).await;
    assert_eq!(pool.snapshot().runners[0].calls_done, 5);
    pool.drain().await;
}

async fn a_cancelled_plain_function_keeps_its_slot_until_it_returns() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated_plainly(begun, open)));
    gate.entered().await;
    call.abort();
    let cancelled = |outcome: &CallOutcome| *outcome == CallOutcome::Cancelled;
    watcher
        .next(|e| {
            matches!(e, PoolEvent::CallFinished { outcome, .. } if cancelled(outcome)).then_some(())
        })
        .await;
    let full = pool.call(demo::double(1).timeout(Duration::from_millis(100))).await;
    assert!(matches!(full, Err(CallError::Timeout { phase: TimeoutPhase::Queue, .. })), "{full:?}");
    gate.open();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    pool.drain().await;
}

async fn a_queued_call_that_is_cancelled_takes_no_slot() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let first = tokio::spawn(pool.call(gates::gated(begun, open)));
    gate.entered().await;
    let waiting: Vec<_> = (0..50).map(|n| tokio::spawn(pool.call(demo::double(n)))).collect();
    until("all calls are queued", || pool.snapshot().queued == 50).await;
    waiting.iter().skip(1).for_each(tokio::task::JoinHandle::abort);
    until("one call is queued", || pool.snapshot().queued == 1).await;
    gate.open();
    first.await.unwrap().unwrap().unwrap();
    let mut waiting = waiting.into_iter();
    assert_eq!(waiting.next().unwrap().await.unwrap().unwrap(), 0);
    until("every slot is free", || pool.snapshot().leased == 0).await;
    assert_eq!(pool.snapshot().runners[0].calls_done, 2);
    pool.drain().await;
}

async fn a_timeout_says_in_which_phase_the_time_ran_out() {
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

async fn calls_beyond_max_depth_are_rejected() {
    let pool = pool("test").max(1).max_depth(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    // The runner can't start a pool with the same limit.
    let rejected = pool.call(nesting::starts_a_pool_with_max_depth(1)).await.unwrap();
    assert!(rejected.unwrap_err().to_string().contains("nested"));
    assert!(pool.call(nesting::starts_a_pool_with_max_depth(2)).await.unwrap().is_ok());
    pool.drain().await;
}

async fn a_thousand_concurrent_calls_get_their_own_results() {
    let pool = pool("test").max(2).max_concurrency(8).timeout(MINUTE).start().await.unwrap();
    let calls = (0..1000).map(|n| pool.call(demo::double(n)));
    let answers = futures_util::future::join_all(calls).await;
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(answer.unwrap(), 2 * n);
    }
    until("every slot is free", || pool.snapshot().leased == 0).await;
    pool.drain().await;
}
