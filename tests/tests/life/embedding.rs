//! Pools in unusual places: several in one process, on other runtimes, on runners.

use std::time::Duration;

use flame_aws::backend::Local;
use flame_aws::{CallError, LimitsChange, Pool};
use flame_tests::demo::{misbehaving, nesting};
use flame_tests::process::{drains_cleanly, pids, until_gone};
use flame_tests::{Test, demo, process_pool, tests, until};
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        many_pools_live_in_one_process,
        a_runtime_on_a_plain_thread_can_have_a_pool,
        a_pool_serves_callers_of_other_runtimes,
        a_pool_is_changed_and_dropped_on_a_plain_thread,
        a_runtime_that_shuts_down_leaves_no_child,
        a_pool_whose_runtime_is_gone_fails_its_callers,
        pools_on_runners_start_empty,
    ]
}

/// Tests that keep their pool in a static of this process, and so run once.
pub(crate) fn run_once() -> Vec<Test> {
    tests![endless_recursion_is_rejected_at_max_depth,]
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a closure on a thread that belongs to no runtime.
async fn on_a_plain_thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || done.send(run()).is_ok());
    let result = result.await;
    assert!(thread.join().unwrap());
    result.unwrap()
}

async fn many_pools_live_in_one_process() {
    let pools = (0..8).map(|n| process_pool(&format!("pool-{n}")).min(1).max(1).start());
    let pools: Vec<_> = join_all(pools).await.into_iter().map(Result::unwrap).collect();
    let calls = (0..80).map(|n| pools[n % pools.len()].call(demo::pid()));
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    for (n, pid) in answers.iter().enumerate() {
        assert_eq!(*pid, answers[n % pools.len()], "each pool has its own runner");
    }
    let mut distinct = answers.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), pools.len());
    for pool in &pools {
        drains_cleanly(pool, &[]).await;
    }
}

async fn a_runtime_on_a_plain_thread_can_have_a_pool() {
    let call = || {
        current_thread().block_on(async {
            let pool = process_pool("test").max(1).start().await.unwrap();
            let doubled = pool.call(demo::double(21)).await.unwrap();
            drains_cleanly(&pool, &[]).await;
            doubled
        })
    };
    assert_eq!(on_a_plain_thread(call).await, 42);
}

async fn a_pool_serves_callers_of_other_runtimes() {
    let pool = process_pool("test").start().await.unwrap();
    let clone = pool.clone();
    let called = on_a_plain_thread(move || {
        current_thread().block_on(async {
            let (numbers, rx) = flame_aws::channel(2);
            let (tx, mut out) = flame_aws::channel(2);
            let child = clone.place_child(demo::squares(rx, tx)).await.unwrap();
            numbers.send(5).await.unwrap();
            let square = out.recv().await.unwrap();
            drop(numbers);
            child.join().await.unwrap().unwrap();
            (square, clone.call(demo::double(4)).await.unwrap())
        })
    });
    assert_eq!(called.await, (Some(25), 8));
    drains_cleanly(&pool, &[]).await;
}

async fn a_pool_is_changed_and_dropped_on_a_plain_thread() {
    let pool = process_pool("test").max(2).start().await.unwrap();
    let counter = pool.call(demo::counter(1)).await.unwrap();
    let child = pool.place_child(demo::forever()).await.unwrap();
    let clone = pool.clone();
    on_a_plain_thread(move || {
        clone.resize(LimitsChange::new().min(2)).unwrap();
        drop((counter, child, clone));
    })
    .await;
    until("min is up and every slot is free", || {
        let snapshot = pool.snapshot();
        snapshot.up == 2 && snapshot.leased == 0
    })
    .await;
    let pids = pids(&pool);
    on_a_plain_thread(move || drop(pool)).await;
    until_gone(&pids).await;
}

async fn a_runtime_that_shuts_down_leaves_no_child() {
    for workers in [None, Some(2)] {
        let run = move || {
            let runtime = match workers {
                None => current_thread(),
                Some(workers) => Builder::new_multi_thread()
                    .worker_threads(workers)
                    .enable_all()
                    .build()
                    .unwrap(),
            };
            let pids = runtime.block_on(async {
                let pool = process_pool("test").min(2).timeout(None).start().await.unwrap();
                pool.ready().await;
                drop(tokio::spawn(pool.call(demo::forever())));
                drop(tokio::spawn(pool.call(misbehaving::spins())));
                until("both calls are under way", || pool.snapshot().leased == 2).await;
                pids(&pool)
            });
            drop(runtime);
            pids
        };
        let pids = on_a_plain_thread(run).await;
        assert_eq!(pids.len(), 2);
        until_gone(&pids).await;
    }
}

async fn a_pool_whose_runtime_is_gone_fails_its_callers() {
    let run = || {
        let runtime = current_thread();
        let pool = runtime.block_on(async {
            let pool = process_pool("test").min(1).max(1).max_concurrency(1).start().await.unwrap();
            pool.ready().await;
            pool
        });
        let pids = pids(&pool);
        (runtime, pool, pids)
    };
    let (runtime, pool, pids) = on_a_plain_thread(run).await;
    // That runtime is not driven any more, so calls on its pool make no progress.
    let sent = tokio::spawn(pool.call(demo::double(1).timeout(None)));
    until("the call has the slot", || pool.snapshot().leased == 1).await;
    let queued = tokio::spawn(pool.call(demo::double(1).timeout(None)));
    until("the call is queued", || pool.snapshot().queued == 1).await;
    on_a_plain_thread(move || drop(runtime)).await;
    let lost = sent.await.unwrap();
    assert!(matches!(lost, Err(CallError::RunnerLost { started: false, .. })), "{lost:?}");
    let rejected = queued.await.unwrap();
    let not_started =
        matches!(rejected, Err(CallError::Draining | CallError::RunnerLost { started: false, .. }));
    assert!(not_started, "{rejected:?}");
    let late = pool.call(demo::double(1).timeout(Duration::from_secs(60))).await;
    assert!(matches!(late, Err(CallError::Draining)), "{late:?}");
    pool.drain().await;
    until_gone(&pids).await;
}

async fn pools_on_runners_start_empty() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let booted = pool.call(nesting::starts_a_pool_with_min()).await.unwrap().unwrap();
    assert_eq!(booted, 0, "otherwise every copy would boot copies");
    drains_cleanly(&pool, &[]).await;
}

async fn endless_recursion_is_rejected_at_max_depth() {
    let pool = Pool::builder("test").backend(Local::new()).max_depth(5).start().await.unwrap();
    let rejected = nesting::call_without_end(&pool).await;
    let rejected = rejected.unwrap().unwrap_err().to_string();
    assert_eq!(rejected, CallError::DepthExceeded { limit: 5 }.to_string());
    assert_eq!(pool.snapshot().leased, 0);
    pool.drain().await;
}
