//! A parent that lacks a permission, where AWS's text does not name it: what the library says does.

use std::time::Duration;

use flame_aws::{BootFailureKind, CallError, PoolEvent};
use flame_tests::emulator::EcsApp;
use flame_tests::program::Program;
use flame_tests::{Test, demo, emulated, tests};
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    emulated(tests![
        a_boot_that_is_denied_names_all_permissions_that_it_may_need,
        a_boot_whose_denial_names_one_permission_names_no_other,
        a_task_that_may_not_be_stopped_is_reported_with_the_permission,
        a_start_that_may_not_read_the_settings_names_the_permissions,
        a_pool_that_may_not_poll_its_tasks_names_the_permission,
        a_pool_that_may_not_list_tasks_names_the_permission,
    ])
}

const DENIED: &str = "AccessDeniedException";
/// Names nothing, as the texts of some services do.
const TEXT: &str = "Access Denied";

/// The reason of the first boot, whose RunTask is denied with this text.
async fn denied_boot(text: &str) -> String {
    let app = EcsApp::new().await;
    app.account.fails("RunTask", 1_000, DENIED, text).await;
    let pool = app.pool("denied").await.max(1).boot_breaker(1, Duration::from_secs(3_600));
    let pool = pool.start().await.unwrap();
    let failure = match pool.call(demo::pid()).await {
        Err(CallError::BootFailed(failure)) => failure,
        other => panic!("the boot fails: {other:?}"),
    };
    assert_eq!(failure.kind, BootFailureKind::Misconfigured, "{failure}");
    pool.drain().await;
    failure.to_string()
}

async fn a_boot_that_is_denied_names_all_permissions_that_it_may_need() {
    let failure = denied_boot(TEXT).await;
    for action in ["ecs:RunTask", "ecs:TagResource", "iam:PassRole"] {
        assert!(failure.contains(action), "{action}: {failure}");
    }
}

async fn a_boot_whose_denial_names_one_permission_names_no_other() {
    for action in ["ecs:RunTask", "ecs:TagResource", "iam:PassRole"] {
        let failure = denied_boot(&format!("User: x is not authorized to perform: {action}")).await;
        let named = ["ecs:RunTask", "ecs:TagResource", "iam:PassRole"];
        let named: Vec<_> = named.into_iter().filter(|name| failure.contains(name)).collect();
        assert_eq!(named, [action], "{failure}");
    }
}

async fn a_task_that_may_not_be_stopped_is_reported_with_the_permission() {
    let app = EcsApp::new().await;
    app.account.fails("StopTask", 1_000, DENIED, TEXT).await;
    let backend = app.backend().await.env("DEMO_HANG_IN_BOOT", "1");
    let pool = app.pool_of("hangs", backend).max(1).boot_timeout(Duration::from_secs(2));
    let pool = pool.boot_breaker(1, Duration::from_secs(3_600)).start().await.unwrap();
    let mut events = pool.events();
    pool.call(demo::pid()).await.unwrap_err();
    let why = loop {
        if let Ok(PoolEvent::StopFailed { why, .. }) = events.next().await.unwrap() {
            break why;
        }
    };
    assert!(why.contains("ecs:StopTask"), "{why}");
    app.account.heal().await;
    pool.drain().await;
    for task in app.tasks().await {
        let stop = app.client.stop_task().cluster(EcsApp::CLUSTER);
        stop.task(task.task_arn().unwrap()).send().await.unwrap();
    }
    app.until_nothing_runs().await;
}

/// The warnings of a parent that calls once and drains, and that is denied these operations once.
async fn warnings(operations: &[&str]) -> String {
    let app = EcsApp::new().await;
    for operation in operations {
        app.account
            .fault(json!({
                "target": operation, "status": 400, "type": DENIED, "message": TEXT,
            }))
            .await;
    }
    let variables = app.account.variables();
    let mut variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    variables.push(("DEMO_TRACE", "warn"));
    let (printed, logged) = Program::start("ecs_secret", &variables).finish().await;
    assert!(printed.starts_with("flame1."), "the call was answered: {printed}");
    app.until_nothing_runs().await;
    logged
}

async fn a_start_that_may_not_read_the_settings_names_the_permissions() {
    let logged = warnings(&["DescribeClusters", "DescribeTaskDefinition"]).await;
    for action in ["ecs:DescribeClusters", "ecs:DescribeTaskDefinition"] {
        let needs = format!("the request needs {action}");
        assert!(logged.contains(&needs), "{action}: {logged}");
    }
}

async fn a_pool_that_may_not_poll_its_tasks_names_the_permission() {
    let logged = warnings(&["DescribeTasks"]).await;
    assert!(logged.contains("the request needs ecs:DescribeTasks"), "{logged}");
}

async fn a_pool_that_may_not_list_tasks_names_the_permission() {
    let logged = warnings(&["ListTasks"]).await;
    assert!(logged.contains("the request needs ecs:ListTasks"), "{logged}");
}
