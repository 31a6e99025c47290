//! A parent that lacks a permission, where AWS's text does not name it: what the library says does.

use std::time::Duration;

use flame_aws::{BootFailureKind, CallError};
use flame_tests::emulator::Function;
use flame_tests::program::Program;
use flame_tests::{Test, demo, emulated, tests};
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    emulated(tests![
        an_invocation_that_is_denied_names_the_permission,
        a_start_that_may_not_read_the_function_names_the_permissions,
    ])
}

/// Denies an operation once, and does not say which permission is missing.
async fn deny(function: &Function, operation: &str) {
    let denied = json!({
        "target": operation, "status": 403, "type": "AccessDeniedException",
        "message": "Access Denied",
    });
    function.account.fault(denied).await;
}

async fn an_invocation_that_is_denied_names_the_permission() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1).boot_breaker(1, Duration::from_secs(3_600));
    let pool = pool.start().await.unwrap();
    deny(&function, "Invoke").await;
    let failure = match pool.call(demo::pid()).await {
        Err(CallError::BootFailed(failure)) => failure,
        other => panic!("the boot fails: {other:?}"),
    };
    assert_eq!(failure.kind, BootFailureKind::Misconfigured, "{failure}");
    assert!(failure.to_string().contains("the request needs lambda:InvokeFunction"), "{failure}");
    pool.drain().await;
}

async fn a_start_that_may_not_read_the_function_names_the_permissions() {
    let function = Function::of_runners().await;
    let operations = ["GetFunctionConfiguration", "GetFunctionEventInvokeConfig"];
    for operation in operations {
        deny(&function, operation).await;
    }
    let variables = function.variables();
    let mut variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    variables.push(("DEMO_TRACE", "flame_aws=debug"));
    variables.push(("FLAME_LAMBDA_INVOCATION", "event"));
    let (_, logged) = Program::start("talks_on_lambda", &variables).finish().await;
    for operation in operations {
        let needs = format!("the request needs lambda:{operation}");
        assert!(logged.contains(&needs), "{operation}: {logged}");
    }
}
