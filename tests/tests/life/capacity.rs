//! How many runners and slots a pool has, and what it reports about them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flame_aws::{GrowReason, LimitsChange, Placement, Pool, PoolEvent, RunnerRef, RunnerState};
use flame_tests::demo::{
    gates::{self, Gate},
    probes,
};
use flame_tests::{Test, Watcher, demo, pool, tests, until};
use futures_util::future::join_all;
use tokio::task::JoinHandle;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_runner_serves_at_most_max_concurrency_calls,
        demand_boots_every_needed_runner_in_parallel,
        starting_boots_min_runners_and_ready_waits_for_them,
        min_free_slots_are_kept_ahead_of_demand,
        spread_uses_all_runners_and_pack_one,
        placement_and_concurrency_change_at_run_time,
        a_snapshot_shows_runners_slots_and_queue,
        explain_says_why_the_pool_does_not_grow,
        events_come_in_pairs,
        callbacks_are_called_and_may_panic,
    ]
}

type Gated = JoinHandle<Result<u32, flame_aws::CallError>>;

/// Makes a call that is under way until its gate is opened. Returns the runner that it is on.
async fn gated(pool: &Pool) -> (Gate, Gated, RunnerRef) {
    let mut watcher = Watcher::new(pool);
    let (mut gate, begun, open) = Gate::new();
    let call = pool.call(gates::gated(begun, open).timeout(None));
    let call = tokio::spawn(async move { call.await.map(|gated| gated.unwrap()) });
    gate.entered().await;
    let started = watcher.next(|event| match event {
        PoolEvent::CallStarted { runner, .. } => Some(*runner),
        _ => None,
    });
    (gate, call, started.await)
}

async fn a_runner_serves_at_most_max_concurrency_calls() {
    let pool = pool("test").max(2).max_concurrency(3).start().await.unwrap();
    let calls = (0..60).map(|_| pool.call(probes::peak_concurrency(Duration::from_millis(10))));
    let mut peaks: HashMap<_, usize> = HashMap::new();
    for result in join_all(calls).await {
        let (concurrent, runner) = result.unwrap();
        let peak = peaks.entry(runner).or_default();
        *peak = concurrent.max(*peak);
    }
    assert_eq!(peaks.len(), 2, "both runners have served calls");
    assert!(peaks.values().all(|peak| *peak <= 3), "{peaks:?}");
    assert!(peaks.values().any(|peak| *peak == 3), "no runner had three calls at once: {peaks:?}");
    pool.drain().await;
}

async fn demand_boots_every_needed_runner_in_parallel() {
    let pool = pool("test").max(8).max_concurrency(2).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let gates: Vec<_> = (0..6).map(|_| Gate::new()).collect();
    let calls = gates.into_iter().map(|(gate, begun, open)| {
        (gate, tokio::spawn(pool.call(gates::gated(begun, open).timeout(None))))
    });
    let mut calls: Vec<_> = calls.collect();
    for (gate, _) in &mut calls {
        gate.entered().await;
    }
    for (gate, call) in calls {
        gate.open();
        call.await.unwrap().unwrap().unwrap();
    }
    pool.drain().await;
    watcher.drained().await;
    let starts = watcher.seen.iter().filter_map(|event| match event {
        PoolEvent::GrowStart { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(starts.collect::<Vec<_>>(), [GrowReason::Demand; 3], "six calls need three runners");
}

async fn starting_boots_min_runners_and_ready_waits_for_them() {
    let pool = pool("test").min(2).max(3).start().await.unwrap();
    pool.ready().await;
    assert_eq!(pool.snapshot().up, 2);
    pool.drain().await;
    let none = flame_tests::pool("test").min(0).start().await.unwrap();
    none.ready().await;
    assert_eq!(none.snapshot().runners, []);
}

async fn min_free_slots_are_kept_ahead_of_demand() {
    let pool = pool("test").min_free_slots(2).max(4).max_concurrency(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    until("two slots are free", || pool.snapshot().free == 2).await;
    let (gate, call, _) = gated(&pool).await;
    let reason = watcher.next(|event| match event {
        PoolEvent::GrowStart { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason.await, GrowReason::FreeSlots);
    until("two slots are free again", || pool.snapshot().free == 2).await;
    assert_eq!(pool.snapshot().up, 3);
    gate.open();
    call.await.unwrap().unwrap();
    pool.drain().await;
}

async fn spread_uses_all_runners_and_pack_one() {
    for (placement, expected) in [(Placement::Spread, 2), (Placement::Pack, 1)] {
        let pool = pool("test").min(2).max(2).placement(placement).start().await.unwrap();
        pool.ready().await;
        let mut runners = HashSet::new();
        let mut calls = Vec::new();
        for _ in 0..4 {
            let (gate, call, runner) = gated(&pool).await;
            runners.insert(runner);
            calls.push((gate, call));
        }
        assert_eq!(runners.len(), expected, "{placement:?}");
        for (gate, call) in calls {
            gate.open();
            call.await.unwrap().unwrap();
        }
        pool.drain().await;
    }
}

async fn placement_and_concurrency_change_at_run_time() {
    let pool = pool("test").min(2).max(2).max_concurrency(1).start().await.unwrap();
    pool.ready().await;
    let (first, a, runner) = gated(&pool).await;
    let change = LimitsChange::new().max_concurrency(2).placement(Placement::Pack);
    pool.resize(change).unwrap();
    let (second, b, same) = gated(&pool).await;
    assert_eq!(runner, same, "the fuller runner has a free slot now");
    for (gate, call) in [(first, a), (second, b)] {
        gate.open();
        call.await.unwrap().unwrap();
    }
    pool.drain().await;
}

async fn a_snapshot_shows_runners_slots_and_queue() {
    let pool = pool("test").max(1).max_concurrency(2).start().await.unwrap();
    assert_eq!(pool.snapshot().runners, []);
    pool.call(demo::double(1)).await.unwrap();
    let (one, a, runner) = gated(&pool).await;
    let (two, b, _) = gated(&pool).await;
    let waiting = tokio::spawn(pool.call(demo::double(1)));
    until("the call is queued", || pool.snapshot().queued == 1).await;
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.up, snapshot.booting, snapshot.leased, snapshot.free), (1, 0, 2, 0));
    let view = &snapshot.runners[0];
    assert_eq!((view.runner, view.leases, view.calls_done), (runner, 2, 1));
    assert_eq!(view.state, RunnerState::Up);
    assert!(view.instance.is_some() && view.pid.is_some(), "{view:?}");
    for (gate, call) in [(one, a), (two, b)] {
        gate.open();
        call.await.unwrap().unwrap();
    }
    waiting.await.unwrap().unwrap();
    until("every slot is free", || pool.snapshot().free == 2).await;
    assert_eq!(pool.snapshot().runners[0].calls_done, 4);
    pool.drain().await;
}

async fn explain_says_why_the_pool_does_not_grow() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let explained = |pool: &Pool| pool.explain().to_string();
    assert!(explained(&pool).contains("there is no unmet demand"), "{}", explained(&pool));
    let (gate, call, _) = gated(&pool).await;
    let waiting = tokio::spawn(pool.call(demo::double(1)));
    until("the call is queued", || pool.snapshot().queued == 1).await;
    let full = "1 up (0 free slots), 0 booting, 0 leaving, max 1; 1 queued: not growing: `max` is \
                reached";
    assert_eq!(explained(&pool), full);
    assert!(pool.explain().wants_more() && pool.explain().is_at_max());
    gate.open();
    call.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    pool.drain().await;
    assert!(explained(&pool).contains("the pool is draining"), "{}", explained(&pool));
}

async fn events_come_in_pairs() {
    let pool = pool("test").max(3).max_concurrency(2).idle_shutdown_after(Duration::ZERO);
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let calls = (0..30).map(|n| pool.call(demo::double(n)));
    join_all(calls).await.into_iter().for_each(|done| assert!(done.is_ok(), "{done:?}"));
    assert!(pool.call(demo::panics("a call that fails")).await.is_err());
    drop(pool.place_child(demo::forever()).await.unwrap());
    pool.drain().await;
    watcher.drained().await;
    let (mut booting, mut up, mut calls) = (HashSet::new(), HashSet::new(), HashMap::new());
    let (mut queued, mut started, mut failed) = (HashMap::new(), 0, 0);
    for event in &watcher.seen {
        match event {
            PoolEvent::GrowStart { runner, .. } => assert!(booting.insert(*runner)),
            PoolEvent::GrowEnd { runner, up: is_up, .. } => {
                assert!(booting.remove(runner), "{event:?}");
                assert!(!is_up || up.insert(*runner), "{event:?}");
            }
            PoolEvent::Shrink { runner, .. } => assert!(up.remove(runner), "{event:?}"),
            PoolEvent::RunnerLost { .. } => panic!("{event:?}"),
            PoolEvent::CallQueued { function, trace } => {
                assert!(queued.insert(*trace, *function).is_none(), "{event:?}");
            }
            PoolEvent::CallStarted { runner, function, trace } => {
                assert!(up.contains(runner), "{event:?}");
                started += 1;
                assert!(queued.remove(trace).is_none_or(|queued| queued == *function));
                assert!(calls.insert(*trace, *runner).is_none(), "{event:?}");
            }
            PoolEvent::CallFinished { runner, outcome, trace, .. } => {
                failed += usize::from(!outcome.is_ok());
                assert_eq!(calls.remove(trace), *runner, "{event:?}");
            }
            _ => {}
        }
    }
    assert!(booting.is_empty() && up.is_empty(), "{booting:?} {up:?}");
    assert!(calls.is_empty() && queued.is_empty(), "{calls:?} {queued:?}");
    let waited = |event: &&PoolEvent| matches!(event, PoolEvent::CallQueued { .. });
    assert!(watcher.seen.iter().filter(waited).count() > 0, "no call was queued");
    assert_eq!(
        (started, failed),
        (32, 2),
        "only the panicking call and the dropped child may fail"
    );
}

async fn callbacks_are_called_and_may_panic() {
    let called: Arc<Mutex<Vec<&str>>> = Arc::default();
    let record = |callback: &'static str| {
        let called = called.clone();
        move |_: &PoolEvent| called.lock().unwrap().push(callback)
    };
    let panics = Arc::new(AtomicUsize::new(0));
    let counted = panics.clone();
    let pool = pool("test").max(1).on_grow_start(record("start")).on_shrink(record("shrink"));
    let pool = pool.on_grow_end(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        panic!("a callback panics")
    });
    let pool = pool.start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    until("the callback has panicked", || panics.load(Ordering::SeqCst) == 1).await;
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    pool.drain().await;
    until("every callback was called", || *called.lock().unwrap() == ["start", "shrink"]).await;
}
