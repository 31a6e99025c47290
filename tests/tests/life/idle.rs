//! Runners without work.

use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{Idle, Pool, PoolEvent, ShrinkReason};
use flame_tests::mischief::{self, Gate};
use flame_tests::process::{ends_clean, pids, until_gone};
use flame_tests::{Test, Watcher, demo, process_pool, tests};
use futures_util::future::join_all;
use rand::Rng;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        an_idle_runner_ends_and_the_next_call_boots_another,
        calls_spaced_around_the_idle_time_are_never_lost,
        a_runner_of_min_stays_however_long_it_idles,
        a_runner_of_min_idles_out_after_its_own_time_and_comes_back_with_a_call,
        a_runner_that_may_never_idle_out_stays,
        a_runner_asks_its_app_before_it_idles_out,
        a_held_value_and_a_child_keep_an_idle_runner,
    ]
}

const SHORT: Duration = Duration::from_millis(50);

async fn shrunk(watcher: &mut Watcher) -> ShrinkReason {
    watcher
        .next(|event| match event {
            PoolEvent::Shrink { reason, .. } => Some(*reason),
            PoolEvent::RunnerLost { .. } => panic!("a runner was lost"),
            _ => None,
        })
        .await
}

async fn an_idle_runner_ends_and_the_next_call_boots_another() {
    let pool = process_pool("test").max(1).idle_shutdown_after(SHORT).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let pid = pool.call(demo::pid()).await.unwrap();
    assert_eq!(shrunk(&mut watcher).await, ShrinkReason::Idle);
    until_gone(&[pid]).await;
    let other = pool.call(demo::pid()).await.unwrap();
    assert_ne!(other, pid);
    ends_clean(&pool, &[pid, other]).await;
}

async fn calls_spaced_around_the_idle_time_are_never_lost() {
    let pools = join_all((0..4).map(|_| async {
        let pool = process_pool("test").max(2).idle_shutdown_after(SHORT);
        pool.start().await.unwrap()
    }));
    let runs = pools.await.into_iter().map(|pool| async move {
        let mut seen = Vec::new();
        for _ in 0..120 {
            let pid = pool.call(demo::pid()).await.unwrap();
            if seen.last() != Some(&pid) {
                seen.push(pid);
            }
            let pause = rand::rng().random_range(30_000..80_000);
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
        ends_clean(&pool, &seen).await;
        seen.len()
    });
    let runners: usize = join_all(runs).await.into_iter().sum();
    assert!(runners > 8, "runners did idle out between the calls: {runners}");
}

async fn a_runner_of_min_stays_however_long_it_idles() {
    let pool = process_pool("test").min(1).max(2).max_concurrency(1).idle_shutdown_after(SHORT);
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (mut gate, begun, open) = Gate::new();
    let first = tokio::spawn(pool.call(mischief::gated(begun, open)));
    gate.entered().await;
    pool.call(demo::pid()).await.unwrap();
    gate.open();
    first.await.unwrap().unwrap().unwrap();
    assert_eq!(shrunk(&mut watcher).await, ShrinkReason::Idle);
    let last = pids(&pool);
    assert_eq!(last.len(), 1);
    tokio::time::sleep(10 * SHORT).await;
    assert_eq!(pids(&pool), last);
    assert_eq!(pool.call(demo::pid()).await.unwrap(), last[0]);
    ends_clean(&pool, &last).await;
}

async fn a_runner_of_min_idles_out_after_its_own_time_and_comes_back_with_a_call() {
    let pool = process_pool("test").min(2).max(2).max_concurrency(1);
    let pool = pool.idle_shutdown_after(SHORT).min_idle_shutdown_after(3 * SHORT);
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    for _ in 0..2 {
        assert_eq!(shrunk(&mut watcher).await, ShrinkReason::Idle);
    }
    assert_eq!(pool.snapshot().runners, []);
    assert!(!pool.explain().wants_more(), "{}", pool.explain());
    // A call is a sign of life: `min` counts again.
    pool.call(demo::pid()).await.unwrap();
    watcher.up().await;
    watcher.up().await;
    ends_clean(&pool, &[]).await;
}

async fn a_runner_that_may_never_idle_out_stays() {
    let pool = process_pool("test").max(1).idle_shutdown_after(Idle::Never).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    tokio::time::sleep(6 * SHORT).await;
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    ends_clean(&pool, &[pid]).await;
}

async fn a_runner_asks_its_app_before_it_idles_out() {
    let backend = Process::new().env("DEMO_ASK", "1");
    let pool = process_pool("test").max(1).idle_shutdown_after(SHORT).backend(backend);
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let pid = pool.call(demo::pid()).await.unwrap();
    while pool.call(mischief::asked()).await.unwrap() < 3 {
        tokio::time::sleep(2 * SHORT).await;
    }
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid, "its app said no");
    pool.call(mischief::may_end()).await.unwrap();
    assert_eq!(shrunk(&mut watcher).await, ShrinkReason::Idle);
    until_gone(&[pid]).await;
    ends_clean(&pool, &[pid]).await;
}

async fn a_held_value_and_a_child_keep_an_idle_runner() {
    let pool = process_pool("test").max(1).idle_shutdown_after(SHORT).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    stays_for(&pool, pool.call(demo::counter(1)).await.unwrap()).await;
    stays_for(&pool, pool.place_child(demo::forever()).await.unwrap()).await;
    assert_eq!(shrunk(&mut watcher).await, ShrinkReason::Idle);
    ends_clean(&pool, &[]).await;
}

/// The runner is the same as long as this is there.
async fn stays_for<T>(pool: &Pool, what: T) {
    let pid = pids(pool)[0];
    tokio::time::sleep(6 * SHORT).await;
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    drop(what);
}
