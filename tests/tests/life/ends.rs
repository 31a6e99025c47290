//! How runners and pools end.

use std::collections::HashSet;
use std::time::Duration;

use flame_aws::{CallError, LimitsChange, PoolEvent, ShrinkReason, TimeoutPhase};
use flame_tests::mischief::{self, Gate};
use flame_tests::process::{ends_clean, is_gone, pids, until_gone};
use flame_tests::{Test, Watcher, demo, process_pool, tests, until};
use futures_util::future::join_all;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_single_use_runner_serves_one_call_and_goes,
        a_single_use_runner_tells_how_its_call_failed_before_it_goes,
        a_single_use_runner_is_never_leased_twice_under_load,
        a_runner_beyond_its_lifetime_is_replaced_and_no_call_is_lost,
        a_drained_pool_lets_calls_end_and_takes_no_more,
        a_drain_ends_what_goes_on_beyond_the_shutdown_timeout,
        the_last_handle_drains_the_pool,
        a_call_under_way_ends_although_the_last_handle_is_gone,
        a_lower_max_drains_runners_as_their_calls_end,
        a_higher_max_serves_those_who_wait,
        a_higher_min_is_booted_for,
    ]
}

async fn a_single_use_runner_serves_one_call_and_goes() {
    let pool = process_pool("test").max(1).single_use(true).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let pid = pool.call(demo::pid()).await.unwrap();
        assert!(seen.insert(pid), "{pid} served twice");
        let reason = watcher.next(|event| match event {
            PoolEvent::Shrink { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(reason.await, ShrinkReason::SingleUse);
        until_gone(&[pid]).await;
    }
    ends_clean(&pool, &[]).await;
}

async fn a_single_use_runner_tells_how_its_call_failed_before_it_goes() {
    let pool = process_pool("test").max(4).single_use(true).start().await.unwrap();
    let panics = (0..10).map(|_| pool.call(demo::panics("at once")));
    for panic in join_all(panics).await {
        assert!(matches!(panic, Err(CallError::Panicked { .. })), "{panic:?}");
    }
    ends_clean(&pool, &[]).await;
}

async fn a_single_use_runner_is_never_leased_twice_under_load() {
    let pool = process_pool("test").min(1).max(4).single_use(true).start().await.unwrap();
    let calls = (0..40).map(|n| pool.call(demo::large_with_pid(n * 10_000)));
    let mut seen = HashSet::new();
    for (n, answer) in join_all(calls).await.into_iter().enumerate() {
        let (blob, pid) = answer.unwrap();
        assert_eq!(blob.len(), n * 10_000);
        assert!(seen.insert(pid), "{pid} served twice");
    }
    let seen: Vec<_> = seen.into_iter().collect();
    ends_clean(&pool, &seen).await;
}

async fn a_runner_beyond_its_lifetime_is_replaced_and_no_call_is_lost() {
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
    ends_clean(&pool, &seen).await;
}

async fn a_drained_pool_lets_calls_end_and_takes_no_more() {
    let pool = process_pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated(begun, open)));
    let pid = gate.entered().await;
    let waiting = tokio::spawn(pool.call(demo::pid()));
    until("it waits", || pool.snapshot().queued == 1).await;
    let mut watcher = Watcher::new(&pool);
    let draining = tokio::spawn({
        let pool = pool.clone();
        async move { pool.drain().await }
    });
    assert!(matches!(waiting.await.unwrap(), Err(CallError::Draining)));
    assert!(matches!(pool.call(demo::pid()).await, Err(CallError::Draining)));
    assert!(!draining.is_finished() && !is_gone(pid), "a call is under way");
    gate.open();
    assert_eq!(call.await.unwrap().unwrap().unwrap(), pid);
    draining.await.unwrap();
    assert!(is_gone(pid), "drain() returns when nothing is left");
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

async fn a_drain_ends_what_goes_on_beyond_the_shutdown_timeout() {
    let pool = process_pool("test").max(1).shutdown_timeout(Duration::from_millis(300));
    let pool = pool.start().await.unwrap();
    let works = [demo::forever(), mischief::spins(), mischief::cleans_up_slowly()];
    let calls = works.map(|work| tokio::spawn(pool.call(work.timeout(None))));
    until("the calls are under way", || pool.snapshot().leased == 3).await;
    until("it is up", || pool.snapshot().up == 1).await;
    ends_clean(&pool, &[]).await;
    for call in calls {
        let ended = call.await.unwrap().unwrap_err();
        assert!(matches!(ended, CallError::Cancelled), "{ended:?}");
    }
}

async fn the_last_handle_drains_the_pool() {
    let pool = process_pool("test").min(2).start().await.unwrap();
    pool.ready().await;
    let pids = pids(&pool);
    let other = pool.clone();
    drop(pool);
    assert_eq!(other.call(demo::double(2)).await.unwrap(), 4, "a handle is left");
    drop(other);
    until_gone(&pids).await;
}

async fn a_call_under_way_ends_although_the_last_handle_is_gone() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated(begun, open)));
    let pid = gate.entered().await;
    drop(pool);
    gate.open();
    assert_eq!(call.await.unwrap().unwrap().unwrap(), pid);
    until_gone(&[pid]).await;
}

async fn a_lower_max_drains_runners_as_their_calls_end() {
    let pool = process_pool("test").max(3).max_concurrency(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let mut gates = Vec::new();
    for _ in 0..3 {
        let (mut gate, begun, open) = Gate::new();
        let call = tokio::spawn(pool.call(mischief::gated(begun, open)));
        gates.push((gate.entered().await, gate, call));
    }
    pool.resize(LimitsChange { max: Some(1), ..LimitsChange::default() }).unwrap();
    let refused = pool.resize(LimitsChange { min: Some(2), ..LimitsChange::default() });
    assert!(refused.unwrap_err().to_string().contains("min"));
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
    ends_clean(&pool, &ended).await;
}

async fn a_higher_max_serves_those_who_wait() {
    let pool = process_pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated(begun, open)));
    let pid = gate.entered().await;
    let waiting = tokio::spawn(pool.call(demo::pid()));
    until("it waits", || pool.snapshot().queued == 1).await;
    assert!(pool.explain().is_at_max(), "{}", pool.explain());
    pool.resize(LimitsChange { max: Some(2), ..LimitsChange::default() }).unwrap();
    assert_ne!(waiting.await.unwrap().unwrap(), pid);
    gate.open();
    call.await.unwrap().unwrap().unwrap();
    ends_clean(&pool, &[pid]).await;
}

async fn a_higher_min_is_booted_for() {
    let pool = process_pool("test").max(4).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    assert_eq!(pool.snapshot().runners, []);
    pool.resize(LimitsChange { min: Some(2), ..LimitsChange::default() }).unwrap();
    watcher.up().await;
    watcher.up().await;
    assert_eq!(pids(&pool).len(), 2);
    ends_clean(&pool, &[]).await;
}
