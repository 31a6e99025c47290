//! Runners without calls.

use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{Idle, Pool, PoolEvent, ShrinkReason};
use flame_tests::demo::{
    gates::{self, Gate},
    probes,
};
use flame_tests::process::{drains_cleanly, pids, until_gone};
use flame_tests::{Test, Watcher, demo, process_pool, tests};
use futures_util::future::join_all;
use rand::Rng;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        an_idle_runner_exits_and_the_next_call_boots_another,
        calls_made_while_runners_idle_out_are_never_lost,
        min_keeps_an_idle_runner,
        min_runners_idle_out_after_their_own_timeout_and_boot_again_with_a_call,
        a_runner_without_an_idle_timeout_stays,
        a_runner_asks_its_app_before_it_idles_out,
        a_held_value_or_a_child_keeps_its_runner_up,
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

async fn an_idle_runner_exits_and_the_next_call_boots_another() {
    let pool = process_pool("test").max(1).idle_shutdown_after(SHORT).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let pid = pool.call(demo::pid()).await.unwrap();
    assert_eq!(shrunk(&mut watcher).await, ShrinkReason::Idle);
    until_gone(&[pid]).await;
    let other = pool.call(demo::pid()).await.unwrap();
    assert_ne!(other, pid);
    drains_cleanly(&pool, &[pid, other]).await;
}

async fn calls_made_while_runners_idle_out_are_never_lost() {
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
        drains_cleanly(&pool, &seen).await;
        seen.len()
    });
    let runners: usize = join_all(runs).await.into_iter().sum();
    assert!(runners > 8, "too few runners idled out between the calls: {runners}");
}

async fn min_keeps_an_idle_runner() {
    let pool = process_pool("test").min(1).max(2).max_concurrency(1).idle_shutdown_after(SHORT);
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (mut gate, begun, open) = Gate::new();
    let first = tokio::spawn(pool.call(gates::gated(begun, open)));
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
    drains_cleanly(&pool, &last).await;
}

async fn min_runners_idle_out_after_their_own_timeout_and_boot_again_with_a_call() {
    let pool = process_pool("test").min(2).max(2).max_concurrency(1);
    let pool = pool.idle_shutdown_after(SHORT).min_idle_shutdown_after(3 * SHORT);
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    for _ in 0..2 {
        assert_eq!(shrunk(&mut watcher).await, ShrinkReason::Idle);
    }
    assert_eq!(pool.snapshot().runners, []);
    assert!(!pool.explain().wants_more(), "{}", pool.explain());
    // A call makes the pool boot its `min` again.
    pool.call(demo::pid()).await.unwrap();
    watcher.up().await;
    watcher.up().await;
    drains_cleanly(&pool, &[]).await;
}

async fn a_runner_without_an_idle_timeout_stays() {
    let pool = process_pool("test").max(1).idle_shutdown_after(Idle::Never).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    tokio::time::sleep(6 * SHORT).await;
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_runner_asks_its_app_before_it_idles_out() {
    let backend = Process::new().env("DEMO_IDLE_WHEN", "1");
    let pool = process_pool("test").max(1).idle_shutdown_after(SHORT).backend(backend);
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let pid = pool.call(demo::pid()).await.unwrap();
    while pool.call(probes::times_asked_to_idle_out()).await.unwrap() < 3 {
        tokio::time::sleep(2 * SHORT).await;
    }
    assert_eq!(
        pool.call(demo::pid()).await.unwrap(),
        pid,
        "the app does not let the runner idle out"
    );
    pool.call(probes::allow_idle_shutdown()).await.unwrap();
    assert_eq!(shrunk(&mut watcher).await, ShrinkReason::Idle);
    until_gone(&[pid]).await;
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_held_value_or_a_child_keeps_its_runner_up() {
    let pool = process_pool("test").max(1).idle_shutdown_after(SHORT).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    keeps_the_runner_up(&pool, pool.call(demo::counter(1)).await.unwrap()).await;
    keeps_the_runner_up(&pool, pool.place_child(demo::forever()).await.unwrap()).await;
    assert_eq!(shrunk(&mut watcher).await, ShrinkReason::Idle);
    drains_cleanly(&pool, &[]).await;
}

/// Checks that the pool's runner outlasts its idle timeout while `handle` exists.
async fn keeps_the_runner_up<T>(pool: &Pool, handle: T) {
    let pid = pids(pool)[0];
    tokio::time::sleep(6 * SHORT).await;
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    drop(handle);
}
