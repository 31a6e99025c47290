//! How runners and pools shut down.

use std::collections::HashSet;
use std::time::Duration;

use flame_aws::{CallError, LimitsChange, PoolEvent, ShrinkReason, TimeoutPhase};
use flame_tests::demo::{
    gates::{self, Gate},
    misbehaving,
};
use flame_tests::process::{drains_cleanly, is_gone, pids, until_gone};
use flame_tests::{Test, Watcher, demo, process_pool, tests, until};
use futures_util::future::join_all;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_single_use_runner_serves_one_call_and_exits,
        a_single_use_runner_reports_a_panic_before_it_exits,
        a_single_use_runner_is_never_leased_twice_under_load,
        a_runner_past_its_max_lifetime_is_replaced_and_no_call_is_lost,
        draining_lets_calls_finish_and_rejects_new_ones,
        draining_cancels_calls_that_outlast_the_shutdown_timeout,
        dropping_the_last_handle_drains_the_pool,
        a_call_under_way_finishes_after_the_last_handle_is_dropped,
        lowering_max_drains_runners_as_their_calls_finish,
        raising_max_serves_queued_calls,
        raising_min_boots_runners,
    ]
}

async fn a_single_use_runner_serves_one_call_and_exits() {
    let pool = process_pool("test").max(1).single_use(true).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let pid = pool.call(demo::pid()).await.unwrap();
        assert!(seen.insert(pid), "{pid} served two calls");
        let reason = watcher.next(|event| match event {
            PoolEvent::Shrink { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(reason.await, ShrinkReason::SingleUse);
        until_gone(&[pid]).await;
    }
    drains_cleanly(&pool, &[]).await;
}

async fn a_single_use_runner_reports_a_panic_before_it_exits() {
    let pool = process_pool("test").max(4).single_use(true).start().await.unwrap();
    let panics = (0..10).map(|_| pool.call(demo::panics("at once")));
    for panic in join_all(panics).await {
        assert!(matches!(panic, Err(CallError::Panicked { .. })), "{panic:?}");
    }
    drains_cleanly(&pool, &[]).await;
}

async fn a_single_use_runner_is_never_leased_twice_under_load() {
    let pool = process_pool("test").min(1).max(4).single_use(true).start().await.unwrap();
    let calls = (0..40).map(|n| pool.call(demo::large_with_pid(n * 10_000)));
    let mut seen = HashSet::new();
    for (n, answer) in join_all(calls).await.into_iter().enumerate() {
        let (blob, pid) = answer.unwrap();
        assert_eq!(blob.len(), n * 10_000);
        assert!(seen.insert(pid), "{pid} served two calls");
    }
    let seen: Vec<_> = seen.into_iter().collect();
    drains_cleanly(&pool, &seen).await;
}

async fn a_runner_past_its_max_lifetime_is_replaced_and_no_call_is_lost() {
    let pool = process_pool("test").min(1).max(3).max_lifetime(Duration::from_millis(300));
    let pool = pool.start().await.unwrap();
    let callers = (0..4).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut seen = HashSet::new();
            while seen.len() < 6 {
                seen.insert(pool.call(demo::pid()).await.unwrap());
            }
            seen
        })
    });
    let mut seen = HashSet::new();
    for caller in join_all(callers).await {
        seen.extend(caller.unwrap());
    }
    let seen: Vec<_> = seen.into_iter().collect();
    drains_cleanly(&pool, &seen).await;
}

async fn draining_lets_calls_finish_and_rejects_new_ones() {
    let pool = process_pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    let pid = gate.entered().await;
    let waiting = tokio::spawn(pool.call(demo::pid()));
    until("the call is queued", || pool.snapshot().queued == 1).await;
    let mut watcher = Watcher::new(&pool);
    let draining = tokio::spawn({
        let pool = pool.clone();
        async move { pool.drain().await }
    });
    assert!(matches!(waiting.await.unwrap(), Err(CallError::Draining)));
    assert!(matches!(pool.call(demo::pid()).await, Err(CallError::Draining)));
    assert!(!draining.is_finished() && !is_gone(pid), "the pool waits for the call under way");
    gate.open();
    assert_eq!(call.await.unwrap().unwrap().unwrap(), pid);
    draining.await.unwrap();
    assert!(is_gone(pid), "drain() has returned before the runner was gone");
    watcher.drained().await;
    let reasons: Vec<_> = watcher
        .seen
        .iter()
        .filter_map(|event| match event {
            PoolEvent::Shrink { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [ShrinkReason::PoolDrain]);
    pool.drain().await;
    pool.ready().await;
}

async fn draining_cancels_calls_that_outlast_the_shutdown_timeout() {
    let pool = process_pool("test").max(1).shutdown_timeout(Duration::from_millis(300));
    let pool = pool.start().await.unwrap();
    let works = [demo::forever(), misbehaving::spins(), misbehaving::cleans_up_slowly()];
    let calls = works.map(|work| tokio::spawn(pool.call(work.timeout(None))));
    until("the calls are under way", || pool.snapshot().leased == 3).await;
    until("the runner is up", || pool.snapshot().up == 1).await;
    drains_cleanly(&pool, &[]).await;
    for call in calls {
        let ended = call.await.unwrap().unwrap_err();
        assert!(matches!(ended, CallError::Cancelled), "{ended:?}");
    }
}

async fn dropping_the_last_handle_drains_the_pool() {
    let pool = process_pool("test").min(2).start().await.unwrap();
    pool.ready().await;
    let pids = pids(&pool);
    let other = pool.clone();
    drop(pool);
    assert_eq!(other.call(demo::double(2)).await.unwrap(), 4, "another handle exists");
    drop(other);
    until_gone(&pids).await;
}

async fn a_call_under_way_finishes_after_the_last_handle_is_dropped() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    let pid = gate.entered().await;
    drop(pool);
    gate.open();
    assert_eq!(call.await.unwrap().unwrap().unwrap(), pid);
    until_gone(&[pid]).await;
}

async fn lowering_max_drains_runners_as_their_calls_finish() {
    let pool = process_pool("test").max(3).max_concurrency(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let mut gates = Vec::new();
    for _ in 0..3 {
        let (mut gate, begun, open) = Gate::new();
        let call = tokio::spawn(pool.call(gates::gated(begun, open)));
        gates.push((gate.entered().await, gate, call));
    }
    pool.resize(LimitsChange::new().max(1)).unwrap();
    let rejected = pool.resize(LimitsChange::new().min(2));
    assert!(rejected.unwrap_err().to_string().contains("min"));
    let late = pool.call(demo::double(1).timeout(Duration::from_millis(50))).await;
    assert!(matches!(late, Err(CallError::Timeout { phase: TimeoutPhase::Queue, .. })), "{late:?}");
    let mut ended = Vec::new();
    for (pid, gate, call) in gates {
        gate.open();
        assert_eq!(call.await.unwrap().unwrap().unwrap(), pid);
        ended.push(pid);
    }
    for _ in 0..2 {
        let reason = watcher.next(|event| match event {
            PoolEvent::Shrink { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(reason.await, ShrinkReason::Resize);
    }
    let last = pids(&pool);
    assert_eq!(last.len(), 1);
    assert_eq!(pool.call(demo::pid()).await.unwrap(), last[0]);
    drains_cleanly(&pool, &ended).await;
}

async fn raising_max_serves_queued_calls() {
    let pool = process_pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    let pid = gate.entered().await;
    let waiting = tokio::spawn(pool.call(demo::pid()));
    until("the call is queued", || pool.snapshot().queued == 1).await;
    assert!(pool.explain().is_at_max(), "{}", pool.explain());
    pool.resize(LimitsChange::new().max(2)).unwrap();
    assert_ne!(waiting.await.unwrap().unwrap(), pid);
    gate.open();
    call.await.unwrap().unwrap().unwrap();
    drains_cleanly(&pool, &[pid]).await;
}

async fn raising_min_boots_runners() {
    let pool = process_pool("test").max(4).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    assert_eq!(pool.snapshot().runners, []);
    pool.resize(LimitsChange::new().min(2)).unwrap();
    watcher.up().await;
    watcher.up().await;
    assert_eq!(pids(&pool).len(), 2);
    drains_cleanly(&pool, &[]).await;
}
