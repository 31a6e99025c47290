//! One pool over Fargate and Lambda: Lambda runs calls while tasks start.

use std::time::Duration;

use flame_aws::{HostKind, PoolEvent, ShrinkReason};
use flame_tests::emulator::{EcsApp, Function};
use flame_tests::{Test, Watcher, demo, emulated, tests};
use futures_util::TryStreamExt;
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    emulated(tests![lambda_runs_calls_while_fargate_starts_and_then_the_work_moves])
}

/// How long a task takes to start: far longer than an invocation.
const START_MS: u64 = 3_000;

async fn lambda_runs_calls_while_fargate_starts_and_then_the_work_moves() {
    let function = Function::of_runners().await;
    let app = EcsApp::make(function.account.clone()).await;
    app.account.fault(json!({ "target": "task", "start_ms": START_MS, "count": 10 })).await;
    let pool = app.pool("burst").await.max(1).burst(function.backend().await.build());
    let pool = pool.idle_shutdown_after(Duration::from_millis(500)).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);

    // A child may run forever, so it waits for a task while calls run on Lambda.
    let child = tokio::spawn(pool.place_child(demo::forever()));
    let doubled: Vec<u32> = pool.map((0..8).map(demo::double)).try_collect().await.unwrap();
    assert_eq!(doubled, (0..8).map(|n| 2 * n).collect::<Vec<_>>());
    let up: Vec<_> = pool.snapshot().runners.into_iter().filter(|one| one.pid.is_some()).collect();
    assert!(!up.is_empty() && up.iter().all(|one| one.host == HostKind::Lambda), "{up:?}");

    let child = child.await.unwrap().unwrap();
    assert!(app.count_running().await == 1, "the task is up");
    let task = pool.call(demo::ecs_instance()).await.unwrap();
    assert!(task.unwrap().starts_with("arn:aws:ecs:"), "new calls go to Fargate");
    let reason = watcher.next(|event| match event {
        PoolEvent::Shrink { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason.await, ShrinkReason::Idle, "idle invocations end");
    drop(child);
    pool.drain().await;
    function.until_quiet().await;
}
