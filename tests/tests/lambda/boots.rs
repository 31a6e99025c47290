//! Boots that fail, or succeed only after retries, and starts of pools: what the errors say.

use std::error::Error as _;
use std::time::Duration;

use flame_aws::backend::{InvocationType, Lambda};
use flame_aws::{BootFailure, BootFailureKind, CallError, PoolBuilder, PoolError};
use flame_tests::emulator::{Function, reachable};
use flame_tests::program::{Program, copy};
use flame_tests::{Test, demo, emulated, tests};
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![
        a_lambda_runner_that_is_not_on_lambda_exits_with_an_error,
        an_unknown_function_is_named_at_the_start,
        missing_settings_are_named_at_the_start,
        one_backend_can_start_several_pools,
    ];
    let here = tests![
        a_throttled_invoke_is_retried_until_it_is_accepted,
        a_function_without_concurrency_fails_the_boot_with_the_limit,
        a_lost_request_is_repeated_once,
        an_unreachable_lambda_fails_the_boot,
        an_event_that_is_delivered_twice_is_one_runner,
        a_crash_during_init_is_reported_with_code_and_log,
        a_function_that_never_serves_ends_at_its_timeout,
        lambdas_default_timeout_is_rejected,
        a_function_that_would_be_a_parent_is_rejected_at_the_start,
        an_unreadable_function_that_would_be_a_parent_fails_the_boot,
        another_value_of_flame_runner_fails_the_boot_with_the_reason,
        lambdas_errors_fail_the_boot_with_advice,
        a_throttled_start_is_retried,
        a_start_warns_if_lambda_may_redeliver_events,
        the_endpoint_of_lambda_alone_may_be_an_emulator,
        flame_parent_is_in_no_log_at_any_level,
    ];
    [anywhere, emulated(here)].concat()
}

/// Tests of an address at which a pool listens.
pub(crate) fn with_a_listener() -> Vec<Test> {
    tests![a_pool_that_lambda_cannot_reach_does_not_start]
}

/// The failure of a pool's first boot.
async fn failure(pool: PoolBuilder) -> BootFailure {
    let pool = pool.boot_breaker(1, Duration::from_secs(3600)).start().await;
    let pool = pool.unwrap_or_else(|error| panic!("{}", with_source(&error)));
    match pool.call(demo::pid()).await {
        Err(CallError::BootFailed(failure)) => {
            pool.drain().await;
            (*failure).clone()
        }
        other => panic!("the boot fails: {other:?}"),
    }
}

/// The error of a start that fails.
async fn rejected(pool: PoolBuilder) -> String {
    let error = pool.start().await.expect_err("the pool does not start");
    assert!(matches!(error, PoolError::Backend(_)), "{error:?}");
    with_source(&error)
}

fn with_source(error: &PoolError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

/// Denies the pool's start the function's configuration.
async fn hide(function: &Function) {
    let denied = json!({
        "target": "GetFunctionConfiguration", "status": 403, "type": "AccessDeniedException",
        "message": "not authorized to perform: lambda:GetFunctionConfiguration",
    });
    function.account.fault(denied).await;
}

async fn throttle(function: &Function, count: u32) {
    let throttled = json!({
        "target": "Invoke", "count": count, "status": 429, "type": "TooManyRequestsException",
        "message": "Rate Exceeded.",
    });
    function.account.fault(throttled).await;
}

async fn a_throttled_invoke_is_retried_until_it_is_accepted() {
    let function = Function::of_runners().await;
    throttle(&function, 3).await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    assert_eq!(function.account.count("Invoke").await, 4);
    pool.drain().await;
}

async fn a_function_without_concurrency_fails_the_boot_with_the_limit() {
    let function = Function::of_runners().await;
    let none = function.client.put_function_concurrency().function_name(Function::NAME);
    none.reserved_concurrent_executions(0).send().await.unwrap();
    let failure = failure(function.pool().await.boot_timeout(Duration::from_secs(3))).await;
    assert_eq!(failure.kind, BootFailureKind::Quota, "{failure}");
    assert!(failure.reason.contains("did not run"), "{failure}");
    assert!(failure.reason.contains("a function with 0 is disabled"), "{failure}");
    let limit = "TooManyRequestsException: ReservedFunctionConcurrentInvocationLimitExceeded";
    assert_eq!(failure.stopped_reason.as_deref(), Some(limit), "{failure}");
    assert!(
        (2..10).contains(&function.account.count("Invoke").await),
        "the number of retries is bounded"
    );
}

async fn a_lost_request_is_repeated_once() {
    let function = Function::of_runners().await;
    function.account.fault(json!({ "target": "Invoke", "reset": true })).await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    assert_eq!(function.account.count("Invoke").await, 2);
    pool.drain().await;
    assert_eq!(function.until_quiet().await.len(), 1);
}

async fn an_unreachable_lambda_fails_the_boot() {
    let function = Function::of_runners().await;
    function.account.fault(json!({ "target": "Invoke", "reset": true, "count": 9 })).await;
    let failure = failure(function.pool().await).await;
    assert_eq!(failure.kind, BootFailureKind::Unavailable, "{failure}");
    assert!(
        failure.reason.contains("did not respond") && failure.reason.contains("2 times"),
        "{failure}"
    );
    assert!(failure.reason.contains("AWS_ENDPOINT_URL"), "{failure}");
    assert_eq!(function.account.count("Invoke").await, 2, "the request is repeated once");
}

async fn an_event_that_is_delivered_twice_is_one_runner() {
    for invocation in [InvocationType::RequestResponse, InvocationType::Event] {
        let function = Function::of_runners().await;
        function.account.fault(json!({ "target": "Invoke", "duplicate": true })).await;
        let backend = function.backend().await.invocation(invocation);
        let pool = function.pool_of(backend).max(1).start().await.unwrap();
        let pid = pool.call(demo::pid()).await.unwrap();
        for _ in 0..20 {
            assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
        }
        let running = function.account.running().await;
        assert_eq!(running.len(), 2, "the event was delivered twice");
        let other = running.into_iter().find(|other| *other != pid).unwrap();
        flame_tests::until("the other runner is rejected, and has responded", || {
            flame_tests::process::is_stopped(other)
        })
        .await;
        assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
        pool.drain().await;
        function.until_quiet().await;
    }
}

async fn a_crash_during_init_is_reported_with_code_and_log() {
    let variables = [("FLAME_RUNNER", "lambda"), ("DEMO_EXIT_IN_BOOT", "7")];
    let function = Function::with(Duration::from_secs(60), &variables).await;
    let failure = failure(function.pool().await).await;
    assert_eq!(failure.kind, BootFailureKind::Died, "{failure}");
    assert_eq!(failure.exit_code, Some(7), "{failure}");
    assert!(failure.log_tail.iter().any(|line| line == "the database is not there"), "{failure}");
    assert_eq!(failure.stopped_reason.as_deref(), Some("Unhandled: Runtime.ExitError"));
    assert_eq!(function.account.count("Invoke").await, 1);
}

async fn a_function_that_never_serves_ends_at_its_timeout() {
    let variables = [("FLAME_RUNNER", "lambda"), ("DEMO_HANG_IN_BOOT", "1")];
    let function = Function::with(Duration::from_secs(1), &variables).await;
    hide(&function).await;
    let failure = failure(function.pool().await.timeout(Duration::from_secs(60))).await;
    assert_eq!(failure.kind, BootFailureKind::TimedOut, "{failure}");
    assert!(failure.reason.contains("Task timed out after 1.00 seconds"), "{failure}");
    assert!(
        failure.reason.contains("`Timeout`") && failure.reason.contains("App::run"),
        "{failure}"
    );
    assert!(function.until_quiet().await.is_empty());
}

async fn lambdas_default_timeout_is_rejected() {
    let function = Function::with(Duration::from_secs(3), &[("FLAME_RUNNER", "lambda")]).await;
    let error = rejected(function.pool().await).await;
    assert!(error.contains("its timeout is 3s") && error.contains("`Timeout`"), "{error}");
    // If the configuration can't be read, the runners exit before they serve, or even connect.
    hide(&function).await;
    let pool = function.pool().await.boot_breaker(1, Duration::from_secs(3600));
    let pool = pool.start().await.unwrap();
    let error = pool
        .call(demo::pid())
        .await
        .expect_err("no runner lives long enough for a call")
        .to_string();
    assert!(error.contains("no time to serve") && error.contains("`Timeout`"), "{error}");
    pool.drain().await;
}

async fn a_lambda_runner_that_is_not_on_lambda_exits_with_an_error() {
    for (variables, expected) in [
        (vec![("FLAME_RUNNER", "lambda")], "AWS_LAMBDA_RUNTIME_API"),
        (vec![("FLAME_RUNNER", "fargate")], "FLAME_RUNNER is \"fargate\""),
        (
            vec![("FLAME_RUNNER", "lambda"), ("FLAME_PARENT", "x")],
            "both FLAME_PARENT and FLAME_RUNNER",
        ),
    ] {
        let output = copy().envs(variables).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "the process never silently becomes a parent");
        assert!(text.contains(expected) && text.contains("unset"), "{text}");
    }
}

async fn a_function_that_would_be_a_parent_is_rejected_at_the_start() {
    let function = Function::with(Duration::from_secs(3), &[("OTHER", "x")]).await;
    let error = rejected(function.pool().await).await;
    assert!(error.contains("set FLAME_RUNNER=lambda in the function's environment"), "{error}");
    assert!(error.contains("its timeout is 3s"), "all problems are reported: {error}");
    assert_eq!(function.account.count("Invoke").await, 0);
}

async fn an_unreadable_function_that_would_be_a_parent_fails_the_boot() {
    let function = Function::with(Duration::from_secs(60), &[]).await;
    hide(&function).await;
    let failure = failure(function.pool().await).await;
    assert_eq!(failure.kind, BootFailureKind::Died, "{failure}");
    assert!(failure.reason.contains("FLAME_RUNNER=lambda"), "{failure}");
    assert_eq!(function.account.count("Invoke").await, 1);
}

async fn another_value_of_flame_runner_fails_the_boot_with_the_reason() {
    let function = Function::with(Duration::from_secs(60), &[("FLAME_RUNNER", "yes")]).await;
    hide(&function).await;
    let failure = failure(function.pool().await).await;
    assert_eq!(failure.kind, BootFailureKind::Died, "{failure}");
    let text = failure.log_tail.join("\n");
    assert!(text.contains("FLAME_RUNNER is \"yes\""), "{failure}");
}

async fn lambdas_errors_fail_the_boot_with_advice() {
    for (status, code, advice) in [
        (403, "AccessDeniedException", "lambda:InvokeFunction"),
        (400, "RecursiveInvocationException", "max_depth"),
        (502, "KMSAccessDeniedException", "kms:Decrypt"),
        (413, "RequestTooLargeException", "a limit of its own"),
        (404, "ResourceNotFoundException", "FLAME_LAMBDA_FUNCTION"),
    ] {
        let function = Function::of_runners().await;
        let fault = json!({ "target": "Invoke", "status": status, "type": code, "message": "No." });
        function.account.fault(fault).await;
        let failure = failure(function.pool().await).await;
        assert_eq!(failure.kind, BootFailureKind::Misconfigured, "{code}: {failure}");
        assert!(failure.reason.contains(advice), "{code}: {failure}");
        assert_eq!(failure.stopped_reason.as_deref(), Some(code), "{failure}");
        assert_eq!(function.account.count("Invoke").await, 1, "{code} is not repeated");
    }
}

async fn an_unknown_function_is_named_at_the_start() {
    let function = Function::of_runners().await;
    let backend = function.backend().await.function("elsewhere").qualifier("live");
    let error = rejected(function.pool_of(backend)).await;
    for part in ["`elsewhere:live`", "FLAME_LAMBDA_QUALIFIER", "region eu-central-1"] {
        assert!(error.contains(part), "{error}");
    }
}

async fn missing_settings_are_named_at_the_start() {
    let pool = flame_aws::Pool::builder("test").backend(Lambda::builder().build());
    let error = rejected(pool).await;
    assert!(error.contains("FLAME_LAMBDA_FUNCTION") && error.contains("FLAME_AWS"), "{error}");
}

async fn a_throttled_start_is_retried() {
    let function = Function::of_runners().await;
    let before = function.account.count("GetFunctionConfiguration").await;
    let throttled = json!({
        "target": "GetFunctionConfiguration", "count": 2, "status": 429,
        "type": "TooManyRequestsException", "message": "Rate Exceeded.",
    });
    function.account.fault(throttled).await;
    let pool = function.pool().await.start().await.unwrap();
    assert_eq!(function.account.count("GetFunctionConfiguration").await - before, 3);
    pool.drain().await;
}

async fn a_start_warns_if_lambda_may_redeliver_events() {
    let function = Function::of_runners().await;
    let variables = function.variables();
    let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let more = [("FLAME_LAMBDA_INVOCATION", "event"), ("DEMO_TRACE", "flame_aws=debug")];
    let variables: Vec<_> = variables.chain(more).collect();
    let logged = async || Program::start("talks_on_lambda", &variables).finish().await.1;
    let warning = "MaximumRetryAttempts to 0";
    let log = logged().await;
    assert!(log.contains(warning), "nothing is set: {log}");
    let denied = json!({
        "target": "GetFunctionEventInvokeConfig", "status": 403, "type": "AccessDeniedException",
        "message": "not authorized to perform: lambda:GetFunctionEventInvokeConfig",
    });
    function.account.fault(denied).await;
    let log = logged().await;
    assert!(log.contains("the retries of events are unknown") && !log.contains(warning), "{log}");
    let set = function.client.put_function_event_invoke_config().function_name(Function::NAME);
    let set = set.maximum_retry_attempts(0).maximum_event_age_in_seconds(60);
    set.send().await.unwrap();
    let log = logged().await;
    assert!(
        !log.contains("events are unknown") && !log.contains(warning),
        "the retries are off: {log}"
    );
}

async fn one_backend_can_start_several_pools() {
    let function = Function::of_runners().await;
    let backend = function.backend().await.build();
    let pool = || reachable(flame_aws::Pool::builder("test").backend(backend.clone()));
    let (one, two) = (pool().start().await.unwrap(), pool().start().await.unwrap());
    assert_eq!(one.call(demo::double(1)).await.unwrap(), 2);
    one.drain().await;
    assert_eq!(two.call(demo::double(2)).await.unwrap(), 4);
    two.drain().await;
    function.until_quiet().await;
}

async fn a_pool_that_lambda_cannot_reach_does_not_start() {
    let function = Function::of_runners().await;
    // The endpoint is not on this machine, so the runners aren't either.
    let backend =
        function.backend().await.endpoint_url("https://lambda.eu-central-1.amazonaws.com");
    let pool = flame_aws::Pool::builder("test").backend(backend.build());
    let error = rejected(pool).await;
    assert!(error.contains("127.0.0.1") && error.contains(".advertise("), "{error}");
}

async fn the_endpoint_of_lambda_alone_may_be_an_emulator() {
    let function = Function::of_runners().await;
    let variables = function.variables();
    let own = |name| if name == "AWS_ENDPOINT_URL" { "AWS_ENDPOINT_URL_LAMBDA" } else { name };
    let variables: Vec<_> = variables.iter().map(|(name, v)| (own(name), v.as_str())).collect();
    let (printed, _) = Program::start("talks_on_lambda", &variables).finish().await;
    assert!(printed.contains("runner "), "the runner connects to 127.0.0.1: {printed}");
}

async fn flame_parent_is_in_no_log_at_any_level() {
    let variables = [("FLAME_RUNNER", "lambda"), ("DEMO_TRACE", "trace")];
    let function = Function::with(Duration::from_secs(60), &variables).await;
    let variables = function.variables();
    let mut variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    variables.push(("DEMO_TRACE", "trace"));
    let (_, parents) = Program::start("talks_on_lambda", &variables).finish().await;
    function.until_logged(1, "END RequestId", Duration::from_secs(30)).await;
    let runners = function.log().await;
    let sent = |line: &str| line.contains("Lambda.Invoke") && line.contains("transmitting request");
    assert!(parents.lines().any(sent), "the SDK has logged the request");
    assert!(
        runners.contains("this invocation is a runner"),
        "the runner logs at this level: {runners}"
    );
    // Every FLAME_PARENT begins with this text. A payload may be logged as bytes.
    let secret = "flame1.";
    let bytes = format!("{:?}", secret.as_bytes());
    for (log, whose) in [(&parents, "the parent's"), (&runners, "the runner's")] {
        for shown in [secret, bytes.trim_matches(['[', ']'])] {
            let line = log.lines().find(|line| line.contains(shown));
            assert!(line.is_none(), "in {whose} log: {line:?}");
        }
    }
}
