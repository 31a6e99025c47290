//! Boots that come to nothing, or only in the end: each of AWS's ways to fail has its answer.

use std::time::Duration;

use flame_aws::{BootFailure, BootFailureKind, CallError, Pool, PoolEvent};
use flame_tests::emulator::{EcsApp, containers};
use flame_tests::program::Program;
use flame_tests::{Test, Watcher, demo, emulated, tests};
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![
        a_runner_that_exits_in_boot_is_told_with_its_code,
        a_runner_that_hangs_in_boot_is_stopped_when_the_boot_timeout_is_over,
        a_runner_that_can_not_reach_its_parent_ends_and_says_where_to_look,
        an_image_that_is_not_there_is_told_with_what_ecs_says,
        a_provider_that_the_cluster_has_not_is_an_error_that_says_so,
        a_cluster_that_is_gone_after_the_start_is_a_failed_boot,
        flame_parent_stands_in_no_tag_and_no_argument_of_a_task,
        flame_parent_stands_in_no_log_at_any_level,
    ];
    let here = tests![
        fargate_without_room_is_asked_again_until_there_is,
        fargate_without_room_for_good_fails_with_what_to_do,
        a_spot_provider_without_room_is_followed_by_the_next,
        a_burst_of_throttling_is_waited_out,
        a_fault_of_aws_is_repeated_and_boots_nothing_twice,
        a_request_that_was_cut_off_is_repeated,
        a_lost_answer_boots_nothing_twice,
        a_task_whose_order_was_never_answered_is_found_by_its_tag,
        a_conflict_is_an_error_and_no_second_order,
        a_task_that_has_the_token_already_is_taken,
        the_quota_of_vcpus_is_an_error_at_once,
        a_permission_that_is_missing_is_an_error_at_once,
        a_task_that_is_not_seen_right_after_its_order_is_pending,
    ];
    [anywhere, emulated(here)].concat()
}

const SECOND: Duration = Duration::from_secs(1);
const AT_ONCE: Duration = Duration::from_millis(1);

/// Why a call fails for want of a runner.
async fn failure(pool: &Pool) -> BootFailure {
    match pool.call(demo::double(1).timeout(SECOND * 60)).await {
        Err(CallError::BootFailed(failure)) => failure.as_ref().clone(),
        other => panic!("{other:?}"),
    }
}

/// Drains the pool; nothing of it is left.
async fn drains_cleanly(pool: &Pool, app: &EcsApp) {
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn a_runner_that_exits_in_boot_is_told_with_its_code() {
    let app = EcsApp::new().await;
    let logs = aws_sdk_ecs::types::LogConfiguration::builder()
        .log_driver(aws_sdk_ecs::types::LogDriver::Awslogs)
        .options("awslogs-group", "/flame/app")
        .options("awslogs-stream-prefix", "run")
        .build()
        .unwrap();
    app.define("logs", |container| container.log_configuration(logs)).await;
    let backend = app.backend().await.task_definition("logs").env("DEMO_EXIT_IN_BOOT", "7");
    let pool = app.pool_of("exits", backend).max(1).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Died);
    assert_eq!(failure.exit_code, Some(7));
    assert!(
        failure.reason.contains("see its log (CloudWatch Logs: /flame/app, run/app/"),
        "{failure}"
    );
    drains_cleanly(&pool, &app).await;
}

async fn a_runner_that_hangs_in_boot_is_stopped_when_the_boot_timeout_is_over() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.env("DEMO_HANG_IN_BOOT", "1");
    let pool = app.pool_of("hangs", backend).max(1).boot_timeout(SECOND).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::TimedOut);
    assert!(failure.reason.contains("boot timeout"), "{failure}");
    drains_cleanly(&pool, &app).await;
    let tasks = app.tasks().await;
    assert!(!tasks.is_empty());
    for task in &tasks {
        assert_eq!(task.stop_code().map(|code| code.as_str()), Some("UserInitiated"));
        assert_eq!(task.stopped_reason(), Some("flame: its pool ends it"));
    }
    // Nothing handles SIGTERM yet: it ends a plain process, but not the first one of a container.
    let code = if containers::asked_for() { 137 } else { 143 };
    let hung = |task: &aws_sdk_ecs::types::Task| task.containers()[0].exit_code() == Some(code);
    assert!(tasks.iter().any(hung), "{tasks:?}");
}

async fn a_runner_that_can_not_reach_its_parent_ends_and_says_where_to_look() {
    let app = EcsApp::new().await;
    // Nobody is there.
    let pool = app.pool("unreachable").await.max(1).advertise("ws://127.0.0.1:1");
    let pool = pool.boot_timeout(SECOND * 2).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::TimedOut);
    assert!(failure.reason.contains("boot timeout"), "{failure}");
    drains_cleanly(&pool, &app).await;
}

async fn an_image_that_is_not_there_is_told_with_what_ecs_says() {
    let app = EcsApp::new().await;
    app.define("broken", |container| container.image("nowhere/app:1")).await;
    let backend = app.backend().await.task_definition("broken");
    let pool = app.pool_of("broken", backend).max(1).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Refused);
    assert!(failure.reason.contains("execution role"), "{failure}");
    let said = failure.stopped_reason.unwrap();
    assert!(said.contains("CannotPullContainerError"), "{said}");
    drains_cleanly(&pool, &app).await;
}

/// An answer that is no error, and has no task.
fn no_room(count: u32) -> serde_json::Value {
    json!({
        "target": "RunTask",
        "count": count,
        "body": { "tasks": [], "failures": [{ "reason": "RESOURCE:FARGATE", "detail": "none" }] },
    })
}

async fn fargate_without_room_is_asked_again_until_there_is() {
    let app = EcsApp::new().await;
    app.account.fault(no_room(2)).await;
    let pool = app.pool("room").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    assert_eq!(app.account.count("RunTask").await, 3);
    drains_cleanly(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1);
}

async fn fargate_without_room_for_good_fails_with_what_to_do() {
    let app = EcsApp::new().await;
    app.account.fault(no_room(1_000)).await;
    let pool = app.pool("no-room").await.max(1).boot_timeout(SECOND * 2).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Capacity);
    assert!(failure.reason.contains("another capacity provider"), "{failure}");
    assert_eq!(failure.stopped_reason.as_deref(), Some("RESOURCE:FARGATE: none"));
    let tries = app.account.count("RunTask").await;
    assert!((2..20).contains(&tries), "again, but not without end: {tries}");
    drains_cleanly(&pool, &app).await;
}

async fn a_spot_provider_without_room_is_followed_by_the_next() {
    let app = EcsApp::new().await;
    app.account.fault(no_room(1)).await;
    let backend = app.backend().await.capacity_provider("FARGATE_SPOT", 1);
    let backend = backend.capacity_provider("FARGATE", 0);
    let pool = app.pool_of("fallback", backend).max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let tasks = app.tasks().await;
    assert_eq!(tasks[0].capacity_provider_name(), Some("FARGATE"));
    drains_cleanly(&pool, &app).await;
}

async fn a_burst_of_throttling_is_waited_out() {
    let app = EcsApp::new().await;
    app.account.fails("RunTask", 3, "ThrottlingException", "Rate exceeded").await;
    let pool = app.pool("burst").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    assert_eq!(app.account.count("RunTask").await, 4, "the SDK adds none of its own");
    drains_cleanly(&pool, &app).await;
}

async fn a_fault_of_aws_is_repeated_and_boots_nothing_twice() {
    let app = EcsApp::new().await;
    app.account.fails("RunTask", 2, "ServerException", "Service unavailable").await;
    let pool = app.pool("fault").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    assert_eq!(app.account.count("RunTask").await, 3);
    drains_cleanly(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1);
}

async fn a_provider_that_the_cluster_has_not_is_an_error_that_says_so() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.capacity_provider("OTHER", 1);
    let pool = app.pool_of("providers", backend).max(1).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Refused);
    assert!(failure.reason.contains("associate the capacity provider"), "{failure}");
    drains_cleanly(&pool, &app).await;
}

async fn a_request_that_was_cut_off_is_repeated() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "RunTask", "reset": true, "count": 2 })).await;
    let pool = app.pool("cut").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    drains_cleanly(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1);
}

async fn a_lost_answer_boots_nothing_twice() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "RunTask", "reset_after": true, "count": 2 })).await;
    let pool = app.pool("lost").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let asked = app.account.count("RunTask").await;
    assert_eq!(asked, 3);
    drains_cleanly(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1, "three orders with one token are one task");
}

async fn a_task_whose_order_was_never_answered_is_found_by_its_tag() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "RunTask", "reset_after": true })).await;
    app.account.fault(json!({ "target": "RunTask", "reset": true, "count": 1_000 })).await;
    let pool = app.pool("found").await.max(1).boot_timeout(SECOND * 6).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    assert!(app.account.count("ListTasks").await >= 1);
    drains_cleanly(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1);
}

async fn a_conflict_is_an_error_and_no_second_order() {
    let app = EcsApp::new().await;
    app.account.fails("RunTask", 1, "ConflictException", "clientToken was used before").await;
    let pool = app.pool("conflict").await.max(1).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Other);
    let said = failure.stopped_reason.unwrap();
    assert!(said.contains("ConflictException"), "{said}");
    assert_eq!(app.account.count("RunTask").await, 1);
    drains_cleanly(&pool, &app).await;
    assert!(app.tasks().await.is_empty());
}

async fn a_task_that_has_the_token_already_is_taken() {
    let app = EcsApp::new().await;
    // The pool's order comes late: meanwhile somebody else makes one with its token.
    app.account.fault(json!({ "target": "RunTask", "delay_ms": 3_000 })).await;
    let pool = app.pool("taken").await.max(1).boot_timeout(SECOND * 6);
    let pool = pool.boot_backoff(SECOND * 60, SECOND * 60).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let call = tokio::spawn({
        let pool = pool.clone();
        async move { failure(&pool).await }
    });
    let begun = |event: &PoolEvent| match event {
        PoolEvent::GrowStart { runner, .. } => Some(runner.to_string()),
        _ => None,
    };
    let runner = watcher.next(begun).await;
    while app.account.count("RunTask").await == 0 {
        tokio::task::yield_now().await;
    }
    let sleeps = [("DEMO_PROGRAM", "sleeps")];
    let taken = app.run_once(&runner, &sleeps, &[("flame:runner", &runner)]).await;

    let failure = call.await.unwrap();
    assert_eq!(failure.kind, BootFailureKind::TimedOut, "it was waited for: {failure}");
    let task = app.until_stopped(&taken).await;
    assert_eq!(task.stopped_reason(), Some("flame: its pool ends it"), "as one of the pool's own");
    drains_cleanly(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1, "there is no second one");
    assert_eq!(app.account.count("RunTask").await, 2, "theirs, and one of the pool");
}

/// The failure of a pool whose every order fails so, and that there was one order.
async fn refused(error: &str, message: &str) -> BootFailure {
    let app = EcsApp::new().await;
    app.account.fails("RunTask", 1_000, error, message).await;
    let pool = app.pool("refused").await.max(1).boot_backoff(SECOND * 30, SECOND * 30);
    let pool = pool.start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(app.account.count("RunTask").await, 1, "it is not asked again: {failure}");
    drains_cleanly(&pool, &app).await;
    failure
}

async fn the_quota_of_vcpus_is_an_error_at_once() {
    let told = "You've reached the limit on the number of vCPUs you can run concurrently";
    let failure = refused("ClientException", told).await;
    assert_eq!(failure.kind, BootFailureKind::Quota);
    assert!(failure.reason.contains("raise the quota"), "{failure}");
    assert!(failure.stopped_reason.unwrap().contains(told));
}

async fn a_permission_that_is_missing_is_an_error_at_once() {
    let told = "User: x is not authorized to perform: ecs:RunTask";
    let failure = refused("AccessDeniedException", told).await;
    assert_eq!(failure.kind, BootFailureKind::Refused);
    assert!(failure.reason.contains("permission"), "{failure}");
    assert!(failure.stopped_reason.unwrap().contains("ecs:RunTask"));
}

async fn a_cluster_that_is_gone_after_the_start_is_a_failed_boot() {
    let app = EcsApp::new().await;
    let pool = app.pool("gone").await.max(1).boot_backoff(AT_ONCE, AT_ONCE);
    let pool = pool.start().await.unwrap();
    app.client.delete_cluster().cluster(EcsApp::CLUSTER).send().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Refused);
    assert!(failure.reason.contains("FLAME_ECS_CLUSTER"), "{failure}");
    pool.drain().await;
}

async fn a_task_that_is_not_seen_right_after_its_order_is_pending() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "task", "hide_ms": 1_500 })).await;
    let pool = app.pool("hidden").await.max(1).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    // It is missed for a while yet, and serves.
    let looks = app.account.count("DescribeTasks").await;
    while app.account.count("DescribeTasks").await < looks + 10 {
        assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    }
    drains_cleanly(&pool, &app).await;
}

async fn flame_parent_stands_in_no_tag_and_no_argument_of_a_task() {
    let app = EcsApp::new().await;
    let pool = app.pool("secret").await.max(1).start().await.unwrap();
    let secret = pool.call(demo::flame_parent()).await.unwrap().unwrap();
    assert!(secret.starts_with("flame1."));
    let tasks = app.tasks().await;
    let [task] = tasks.as_slice() else { panic!("one task: {tasks:?}") };
    let tags = format!("{:?}", task.tags());
    assert!(tags.contains("flame:runner") && !tags.contains(&secret), "{tags}");
    assert!(!task.started_by().unwrap().contains(&secret));
    let overrides = task.overrides().unwrap();
    assert!(overrides.container_overrides()[0].command().is_empty(), "the command is the image's");
    assert!(!format!("{task:?}").contains(&secret), "nor in what is shown of it");
    drains_cleanly(&pool, &app).await;
}

async fn flame_parent_stands_in_no_log_at_any_level() {
    let app = EcsApp::new().await;
    let variables = app.account.variables();
    let mut variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    variables.push(("DEMO_TRACE", "trace"));
    let (printed, logged) = Program::start("ecs_secret", &variables).finish().await;
    let secret = printed.trim();
    assert!(secret.starts_with("flame1."), "{printed}");
    assert!(logged.contains("ECS.RunTask"), "the SDK has logged the order");
    assert!(!logged.contains(secret));
}
