//! Boots that fail, or succeed only after retries: how the backend handles each of ECS's errors.

use std::time::Duration;

use flame_aws::{BootFailure, BootFailureKind, CallError, Pool, PoolEvent};
use flame_tests::emulator::{EcsApp, containers};
use flame_tests::program::Program;
use flame_tests::{Test, Watcher, demo, emulated, tests};
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![
        a_runner_that_exits_during_its_boot_is_reported_with_its_code,
        a_runner_that_hangs_during_its_boot_is_stopped_at_the_boot_timeout,
        a_missing_image_is_reported_with_the_reason_from_ecs,
        a_capacity_provider_that_the_cluster_lacks_is_an_error_with_advice,
        a_cluster_that_is_deleted_after_the_start_is_a_failed_boot,
        flame_parent_is_in_no_tag_and_no_argument_of_a_task,
        flame_parent_is_in_no_log_at_any_level,
    ];
    let here = tests![
        a_lack_of_capacity_is_retried_until_there_is_capacity,
        a_lasting_lack_of_capacity_fails_the_boot_with_advice,
        a_provider_without_capacity_is_followed_by_the_next,
        throttling_is_retried_until_it_ends,
        an_internal_error_of_ecs_is_retried_and_boots_one_task,
        a_request_that_was_cut_off_is_retried,
        a_lost_response_boots_one_task,
        a_task_whose_launch_was_never_confirmed_is_found_by_its_tag,
        a_conflict_without_a_task_fails_the_boot_and_is_not_retried,
        an_existing_task_with_the_same_token_is_used,
        a_used_up_vcpu_quota_fails_the_boot_at_once,
        a_missing_permission_fails_the_boot_at_once,
        a_task_that_ecs_does_not_know_yet_is_pending,
        the_last_lines_of_a_task_that_died_in_its_boot_are_in_the_error,
        without_access_to_the_log_the_error_names_the_permission,
    ];
    [anywhere, emulated(here)].concat()
}

/// Tests of an address at which a pool listens.
pub(crate) fn with_a_listener() -> Vec<Test> {
    tests![a_runner_that_cannot_reach_its_parent_fails_at_the_boot_timeout]
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
const AT_ONCE: Duration = Duration::from_millis(1);

/// The boot failure that a call returns.
pub(crate) async fn failure(pool: &Pool) -> BootFailure {
    match pool.call(demo::double(1).timeout(SECOND * 60)).await {
        Err(CallError::BootFailed(failure)) => failure.as_ref().clone(),
        other => panic!("{other:?}"),
    }
}

/// Drains the pool, and checks that none of its tasks is left.
pub(crate) async fn drain_clean(pool: &Pool, app: &EcsApp) {
    pool.drain().await;
    app.until_nothing_runs().await;
}

/// A log in CloudWatch Logs, whose group the log driver creates or not.
fn awslogs(create_group: &str) -> aws_sdk_ecs::types::LogConfiguration {
    aws_sdk_ecs::types::LogConfiguration::builder()
        .log_driver(aws_sdk_ecs::types::LogDriver::Awslogs)
        .options("awslogs-group", "/flame/app")
        .options("awslogs-create-group", create_group)
        .options("awslogs-stream-prefix", "run")
        .build()
        .unwrap()
}

async fn a_runner_that_exits_during_its_boot_is_reported_with_its_code() {
    let app = EcsApp::new().await;
    app.define("logs", |container| container.log_configuration(awslogs("false"))).await;
    let backend = app.backend().await.task_definition("logs").env("DEMO_EXIT_IN_BOOT", "7");
    let pool = app.pool_of("exits", backend).max(1).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Died);
    assert_eq!(failure.exit_code, Some(7));
    assert!(
        failure.reason.contains("see the container's log (CloudWatch Logs: /flame/app, run/app/"),
        "{failure}"
    );
    drain_clean(&pool, &app).await;
}

/// The failure of the boot of a task that prints a line, exits, and logs to CloudWatch Logs.
async fn failure_with_log(app: &EcsApp) -> BootFailure {
    app.define("logs", |container| container.log_configuration(awslogs("true"))).await;
    let backend = app.backend().await.task_definition("logs").env("DEMO_EXIT_IN_BOOT", "7");
    let pool = app.pool_of("exits", backend).max(1).start().await.unwrap();
    let failure = failure(&pool).await;
    drain_clean(&pool, app).await;
    failure
}

async fn the_last_lines_of_a_task_that_died_in_its_boot_are_in_the_error() {
    let app = EcsApp::new().await;
    let failure = failure_with_log(&app).await;
    assert_eq!(failure.log_tail, ["the database is not there"], "{failure}");
    assert!(failure.to_string().ends_with("its last output:\n  the database is not there"));
}

async fn without_access_to_the_log_the_error_names_the_permission() {
    let app = EcsApp::new().await;
    app.account.fails("GetLogEvents", 1_000, "AccessDeniedException", "not authorized").await;
    let failure = failure_with_log(&app).await;
    assert_eq!(failure.exit_code, Some(7));
    assert!(failure.log_tail.is_empty());
    assert!(failure.reason.contains("may not call logs:GetLogEvents"), "{failure}");
}

async fn a_runner_that_hangs_during_its_boot_is_stopped_at_the_boot_timeout() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.env("DEMO_HANG_IN_BOOT", "1");
    let pool = app.pool_of("hangs", backend).max(1).boot_timeout(SECOND).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::TimedOut);
    assert!(failure.reason.contains("boot timeout"), "{failure}");
    drain_clean(&pool, &app).await;
    let tasks = app.tasks().await;
    assert!(!tasks.is_empty());
    for task in &tasks {
        assert_eq!(task.stop_code().map(|code| code.as_str()), Some("UserInitiated"));
        assert_eq!(task.stopped_reason(), Some("flame: stopped by its pool"));
    }
    // The app does not handle SIGTERM yet, which ends a plain process, but not process 1 of a
    // container.
    let code = if containers::asked_for() { 137 } else { 143 };
    let hung = |task: &aws_sdk_ecs::types::Task| task.containers()[0].exit_code() == Some(code);
    assert!(tasks.iter().any(hung), "{tasks:?}");
}

async fn a_runner_that_cannot_reach_its_parent_fails_at_the_boot_timeout() {
    let app = EcsApp::new().await;
    // Nothing listens there.
    let pool = app.pool("unreachable").await.max(1).advertise("ws://127.0.0.1:1");
    let pool = pool.boot_timeout(SECOND * 2).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::TimedOut);
    assert!(failure.reason.contains("boot timeout"), "{failure}");
    drain_clean(&pool, &app).await;
}

async fn a_missing_image_is_reported_with_the_reason_from_ecs() {
    let app = EcsApp::new().await;
    app.define("broken", |container| container.image("nowhere/app:1")).await;
    let backend = app.backend().await.task_definition("broken");
    let pool = app.pool_of("broken", backend).max(1).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Misconfigured);
    assert!(failure.reason.contains("execution role"), "{failure}");
    let text = failure.stopped_reason.unwrap();
    assert!(text.contains("CannotPullContainerError"), "{text}");
    drain_clean(&pool, &app).await;
}

/// A successful response without a task.
fn no_capacity(count: u32) -> serde_json::Value {
    json!({
        "target": "RunTask",
        "count": count,
        "body": { "tasks": [], "failures": [{ "reason": "RESOURCE:FARGATE", "detail": "none" }] },
    })
}

async fn a_lack_of_capacity_is_retried_until_there_is_capacity() {
    let app = EcsApp::new().await;
    app.account.fault(no_capacity(2)).await;
    let pool = app.pool("room").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    assert_eq!(app.account.count("RunTask").await, 3);
    drain_clean(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1);
}

async fn a_lasting_lack_of_capacity_fails_the_boot_with_advice() {
    let app = EcsApp::new().await;
    app.account.fault(no_capacity(1_000)).await;
    let pool = app.pool("no-room").await.max(1).boot_timeout(SECOND * 2).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Capacity);
    assert!(failure.reason.contains("another capacity provider"), "{failure}");
    assert_eq!(failure.stopped_reason.as_deref(), Some("RESOURCE:FARGATE: none"));
    let attempts = app.account.count("RunTask").await;
    assert!((2..20).contains(&attempts), "retried, but not endlessly: {attempts}");
    drain_clean(&pool, &app).await;
}

async fn a_provider_without_capacity_is_followed_by_the_next() {
    let app = EcsApp::new().await;
    app.account.fault(no_capacity(1)).await;
    let backend = app.backend().await.capacity_provider("FARGATE_SPOT", 1);
    let backend = backend.capacity_provider("FARGATE", 0);
    let pool = app.pool_of("fallback", backend).max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let tasks = app.tasks().await;
    assert_eq!(tasks[0].capacity_provider_name(), Some("FARGATE"));
    drain_clean(&pool, &app).await;
}

async fn throttling_is_retried_until_it_ends() {
    let app = EcsApp::new().await;
    app.account.fails("RunTask", 3, "ThrottlingException", "Rate exceeded").await;
    let pool = app.pool("burst").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    assert_eq!(app.account.count("RunTask").await, 4, "the SDK adds no retries");
    drain_clean(&pool, &app).await;
}

async fn an_internal_error_of_ecs_is_retried_and_boots_one_task() {
    let app = EcsApp::new().await;
    app.account.fails("RunTask", 2, "ServerException", "Service unavailable").await;
    let pool = app.pool("fault").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    assert_eq!(app.account.count("RunTask").await, 3);
    drain_clean(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1);
}

async fn a_capacity_provider_that_the_cluster_lacks_is_an_error_with_advice() {
    let app = EcsApp::new().await;
    app.make_instances(&["instances"]).await;
    let backend = app.backend().await.capacity_provider("OTHER", 1);
    let backend = backend.cluster(EcsApp::INSTANCES).task_definition(EcsApp::INSTANCES);
    let pool = app.pool_of("providers", backend).max(1).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Misconfigured);
    assert!(failure.reason.contains("associate the capacity provider"), "{failure}");
    drain_clean(&pool, &app).await;
}

async fn a_request_that_was_cut_off_is_retried() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "RunTask", "reset": true, "count": 2 })).await;
    let pool = app.pool("cut").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    drain_clean(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1);
}

async fn a_lost_response_boots_one_task() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "RunTask", "reset_after": true, "count": 2 })).await;
    let pool = app.pool("lost").await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let requests = app.account.count("RunTask").await;
    assert_eq!(requests, 3);
    drain_clean(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1, "three requests with one token start one task");
}

async fn a_task_whose_launch_was_never_confirmed_is_found_by_its_tag() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "RunTask", "reset_after": true })).await;
    app.account.fault(json!({ "target": "RunTask", "reset": true, "count": 1_000 })).await;
    let pool = app.pool("found").await.max(1).boot_timeout(SECOND * 6).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    assert!(app.account.count("ListTasks").await >= 1);
    drain_clean(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1);
}

async fn a_conflict_without_a_task_fails_the_boot_and_is_not_retried() {
    let app = EcsApp::new().await;
    app.account.fails("RunTask", 1, "ConflictException", "clientToken was used before").await;
    let pool = app.pool("conflict").await.max(1).start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Other);
    let text = failure.stopped_reason.unwrap();
    assert!(text.contains("ConflictException"), "{text}");
    assert_eq!(app.account.count("RunTask").await, 1);
    drain_clean(&pool, &app).await;
    assert!(app.tasks().await.is_empty());
}

async fn an_existing_task_with_the_same_token_is_used() {
    let app = EcsApp::new().await;
    // The pool's request is delayed, and another client uses its token first.
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
    assert_eq!(failure.kind, BootFailureKind::TimedOut, "the pool waited for the task: {failure}");
    let task = app.until_stopped(&taken).await;
    assert_eq!(
        task.stopped_reason(),
        Some("flame: stopped by its pool"),
        "the pool stops it as its own"
    );
    drain_clean(&pool, &app).await;
    assert_eq!(app.tasks().await.len(), 1, "no second task is started");
    assert_eq!(app.account.count("RunTask").await, 2, "the other client's, and one of the pool");
}

/// The failure of a pool for which every RunTask fails with this error. Checks that RunTask was
/// called once.
async fn rejected(error: &str, message: &str) -> BootFailure {
    let app = EcsApp::new().await;
    app.account.fails("RunTask", 1_000, error, message).await;
    let pool = app.pool("rejected").await.max(1).boot_backoff(SECOND * 30, SECOND * 30);
    let pool = pool.start().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(app.account.count("RunTask").await, 1, "RunTask is not retried: {failure}");
    drain_clean(&pool, &app).await;
    failure
}

async fn a_used_up_vcpu_quota_fails_the_boot_at_once() {
    let text = "You've reached the limit on the number of vCPUs you can run concurrently";
    let failure = rejected("ClientException", text).await;
    assert_eq!(failure.kind, BootFailureKind::Quota);
    assert!(failure.reason.contains("raise the quota"), "{failure}");
    assert!(failure.stopped_reason.unwrap().contains(text));
}

async fn a_missing_permission_fails_the_boot_at_once() {
    let text = "User: x is not authorized to perform: ecs:RunTask";
    let failure = rejected("AccessDeniedException", text).await;
    assert_eq!(failure.kind, BootFailureKind::Misconfigured);
    assert!(failure.reason.contains("permission"), "{failure}");
    assert!(failure.stopped_reason.unwrap().contains("ecs:RunTask"));
}

async fn a_cluster_that_is_deleted_after_the_start_is_a_failed_boot() {
    let app = EcsApp::new().await;
    let pool = app.pool("gone").await.max(1).boot_backoff(AT_ONCE, AT_ONCE);
    let pool = pool.start().await.unwrap();
    app.client.delete_cluster().cluster(EcsApp::CLUSTER).send().await.unwrap();
    let failure = failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Misconfigured);
    assert!(failure.reason.contains("FLAME_ECS_CLUSTER"), "{failure}");
    pool.drain().await;
}

async fn a_task_that_ecs_does_not_know_yet_is_pending() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "task", "hide_ms": 1_500 })).await;
    let pool = app.pool("hidden").await.max(1).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    // ECS does not report the task for a while, but the runner serves.
    let polls = app.account.count("DescribeTasks").await;
    while app.account.count("DescribeTasks").await < polls + 10 {
        assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    }
    drain_clean(&pool, &app).await;
}

async fn flame_parent_is_in_no_tag_and_no_argument_of_a_task() {
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
    assert!(
        overrides.container_overrides()[0].command().is_empty(),
        "the image's own command runs"
    );
    assert!(!format!("{task:?}").contains(&secret), "Debug hides it");
    drain_clean(&pool, &app).await;
}

async fn flame_parent_is_in_no_log_at_any_level() {
    let app = EcsApp::new().await;
    let variables = app.account.variables();
    let mut variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    variables.push(("DEMO_TRACE", "trace"));
    let (printed, logged) = Program::start("ecs_secret", &variables).finish().await;
    let secret = printed.trim();
    assert!(secret.starts_with("flame1."), "{printed}");
    assert!(logged.contains("ECS.RunTask"), "the SDK has logged the request");
    assert!(!logged.contains(secret));
}
