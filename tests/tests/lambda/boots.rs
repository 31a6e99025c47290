//! Boots that fail, or nearly: each says what to do, and none is repeated that must not be.

use std::error::Error as _;
use std::time::Duration;

use flame_aws::backend::{Invoked, Lambda};
use flame_aws::{BootFailure, BootFailureKind, CallError, PoolBuilder, PoolError};
use flame_tests::emulator::Function;
use flame_tests::program::{Program, copy};
use flame_tests::{Test, demo, emulated, tests};
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![
        a_process_elsewhere_that_is_to_be_a_runner_on_lambda_says_so,
        a_function_that_is_not_there_is_named_at_the_start,
        a_start_without_settings_names_them,
        one_backend_serves_several_pools,
        a_pool_that_lambda_can_not_reach_is_refused_at_the_start,
    ];
    let here = tests![
        a_throttled_invoke_is_repeated_until_it_is_taken,
        a_function_without_concurrency_is_a_failure_that_names_the_limit,
        a_request_that_was_lost_is_repeated_once,
        a_lambda_that_can_not_be_reached_is_a_failure,
        an_event_that_is_delivered_twice_is_one_runner,
        a_crash_at_init_is_told_with_code_and_log,
        a_function_that_never_serves_is_ended_by_its_timeout,
        a_function_with_lambdas_default_timeout_says_so,
        a_function_that_would_be_a_parent_is_refused_at_the_start,
        a_function_that_would_be_a_parent_fails_where_it_can_not_be_looked_at,
        a_function_with_another_flame_runner_says_so,
        lambdas_refusals_are_told_with_what_to_do,
        a_start_that_is_throttled_asks_again,
        a_start_warns_where_events_may_come_again,
        an_endpoint_for_lambda_alone_may_be_an_emulators,
        flame_parent_stands_in_no_log_at_any_level,
    ];
    [anywhere, emulated(here)].concat()
}

/// Makes one boot, which fails.
async fn failure(pool: PoolBuilder) -> BootFailure {
    let pool = pool.boot_breaker(1, Duration::from_secs(3600)).start().await;
    let pool = pool.unwrap_or_else(|error| panic!("{}", whole(&error)));
    match pool.call(demo::pid()).await {
        Err(CallError::BootFailed(failure)) => {
            pool.drain().await;
            (*failure).clone()
        }
        other => panic!("the boot fails: {other:?}"),
    }
}

/// Starts a pool, which fails.
async fn refused(pool: PoolBuilder) -> String {
    let error = pool.start().await.expect_err("the pool does not start");
    assert!(matches!(error, PoolError::Backend(_)), "{error:?}");
    whole(&error)
}

fn whole(error: &PoolError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

/// The pool's start can't see the function.
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

async fn a_throttled_invoke_is_repeated_until_it_is_taken() {
    let function = Function::of_runners().await;
    throttle(&function, 3).await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    assert_eq!(function.account.count("Invoke").await, 4);
    pool.drain().await;
}

async fn a_function_without_concurrency_is_a_failure_that_names_the_limit() {
    let function = Function::of_runners().await;
    let none = function.client.put_function_concurrency().function_name(Function::NAME);
    none.reserved_concurrent_executions(0).send().await.unwrap();
    let failure = failure(function.pool().await.boot_timeout(Duration::from_secs(3))).await;
    assert_eq!(failure.kind, BootFailureKind::Quota, "{failure}");
    assert!(failure.reason.contains("did not run"), "{failure}");
    assert!(failure.reason.contains("0 switches a function off"), "{failure}");
    let limit = "TooManyRequestsException: ReservedFunctionConcurrentInvocationLimitExceeded";
    assert_eq!(failure.stopped_reason.as_deref(), Some(limit), "{failure}");
    assert!((2..10).contains(&function.account.count("Invoke").await), "it is bounded");
}

async fn a_request_that_was_lost_is_repeated_once() {
    let function = Function::of_runners().await;
    function.account.fault(json!({ "target": "Invoke", "reset": true })).await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    assert_eq!(function.account.count("Invoke").await, 2);
    pool.drain().await;
    assert_eq!(function.until_quiet().await.len(), 1);
}

async fn a_lambda_that_can_not_be_reached_is_a_failure() {
    let function = Function::of_runners().await;
    function.account.fault(json!({ "target": "Invoke", "reset": true, "count": 9 })).await;
    let failure = failure(function.pool().await).await;
    assert_eq!(failure.kind, BootFailureKind::Unavailable, "{failure}");
    assert!(
        failure.reason.contains("no answer") && failure.reason.contains("2 times"),
        "{failure}"
    );
    assert!(failure.reason.contains("AWS_ENDPOINT_URL"), "{failure}");
    assert_eq!(function.account.count("Invoke").await, 2, "it is not repeated again and again");
}

async fn an_event_that_is_delivered_twice_is_one_runner() {
    for how in [Invoked::RequestResponse, Invoked::Event] {
        let function = Function::of_runners().await;
        function.account.fault(json!({ "target": "Invoke", "duplicate": true })).await;
        let backend = function.backend().await.invocation(how);
        let pool = function.pool_of(backend).max(1).start().await.unwrap();
        let there = pool.call(demo::pid()).await.unwrap();
        for _ in 0..20 {
            assert_eq!(pool.call(demo::pid()).await.unwrap(), there);
        }
        let begun = function.account.running().await;
        assert_eq!(begun.len(), 2, "the event was delivered twice");
        let other = begun.into_iter().find(|pid| *pid != there).unwrap();
        flame_tests::until("the other one is refused, and has answered", || {
            flame_tests::process::is_stopped(other)
        })
        .await;
        assert_eq!(pool.call(demo::pid()).await.unwrap(), there);
        pool.drain().await;
        function.until_quiet().await;
    }
}

async fn a_crash_at_init_is_told_with_code_and_log() {
    let variables = [("FLAME_RUNNER", "lambda"), ("DEMO_EXIT_IN_BOOT", "7")];
    let function = Function::with(Duration::from_secs(60), &variables).await;
    let failure = failure(function.pool().await).await;
    assert_eq!(failure.kind, BootFailureKind::Died, "{failure}");
    assert_eq!(failure.exit_code, Some(7), "{failure}");
    assert!(failure.log_tail.iter().any(|line| line == "the database is not there"), "{failure}");
    assert_eq!(failure.stopped_reason.as_deref(), Some("Unhandled: Runtime.ExitError"));
    assert_eq!(function.account.count("Invoke").await, 1);
}

async fn a_function_that_never_serves_is_ended_by_its_timeout() {
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

async fn a_function_with_lambdas_default_timeout_says_so() {
    let function = Function::with(Duration::from_secs(3), &[("FLAME_RUNNER", "lambda")]).await;
    let error = refused(function.pool().await).await;
    assert!(error.contains("its timeout is 3s") && error.contains("`Timeout`"), "{error}");
    // Where it can't be looked at, its runners end before they serve, if not before they are up.
    hide(&function).await;
    let pool = function.pool().await.boot_breaker(1, Duration::from_secs(3600));
    let pool = pool.start().await.unwrap();
    let error = pool.call(demo::pid()).await.expect_err("no runner lives for a call").to_string();
    assert!(error.contains("no time to serve") && error.contains("`Timeout`"), "{error}");
    pool.drain().await;
}

async fn a_process_elsewhere_that_is_to_be_a_runner_on_lambda_says_so() {
    for (variables, told) in [
        (vec![("FLAME_RUNNER", "lambda")], "AWS_LAMBDA_RUNTIME_API"),
        (vec![("FLAME_RUNNER", "fargate")], "FLAME_RUNNER is \"fargate\""),
        (
            vec![("FLAME_RUNNER", "lambda"), ("FLAME_PARENT", "x")],
            "both FLAME_PARENT and FLAME_RUNNER",
        ),
    ] {
        let output = copy().envs(variables).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "it is never silently a parent");
        assert!(said.contains(told) && said.contains("unset"), "{said}");
    }
}

async fn a_function_that_would_be_a_parent_is_refused_at_the_start() {
    let function = Function::with(Duration::from_secs(3), &[("OTHER", "x")]).await;
    let error = refused(function.pool().await).await;
    assert!(error.contains("set FLAME_RUNNER=lambda in the function's environment"), "{error}");
    assert!(error.contains("its timeout is 3s"), "all that is wrong: {error}");
    assert_eq!(function.account.count("Invoke").await, 0);
}

async fn a_function_that_would_be_a_parent_fails_where_it_can_not_be_looked_at() {
    let function = Function::with(Duration::from_secs(60), &[]).await;
    hide(&function).await;
    let failure = failure(function.pool().await).await;
    assert_eq!(failure.kind, BootFailureKind::Died, "{failure}");
    assert!(failure.reason.contains("FLAME_RUNNER=lambda"), "{failure}");
    assert_eq!(function.account.count("Invoke").await, 1);
}

async fn a_function_with_another_flame_runner_says_so() {
    let function = Function::with(Duration::from_secs(60), &[("FLAME_RUNNER", "yes")]).await;
    hide(&function).await;
    let failure = failure(function.pool().await).await;
    assert_eq!(failure.kind, BootFailureKind::Died, "{failure}");
    let said = failure.log_tail.join("\n");
    assert!(said.contains("FLAME_RUNNER is \"yes\""), "{failure}");
}

async fn lambdas_refusals_are_told_with_what_to_do() {
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
        assert_eq!(failure.kind, BootFailureKind::Refused, "{code}: {failure}");
        assert!(failure.reason.contains(advice), "{code}: {failure}");
        assert_eq!(failure.stopped_reason.as_deref(), Some(code), "{failure}");
        assert_eq!(function.account.count("Invoke").await, 1, "{code} is not repeated");
    }
}

async fn a_function_that_is_not_there_is_named_at_the_start() {
    let function = Function::of_runners().await;
    let backend = function.backend().await.function("elsewhere").qualifier("live");
    let error = refused(function.pool_of(backend)).await;
    for part in ["`elsewhere:live`", "FLAME_LAMBDA_QUALIFIER", "region eu-central-1"] {
        assert!(error.contains(part), "{error}");
    }
}

async fn a_start_without_settings_names_them() {
    let pool = flame_aws::Pool::builder("test").backend(Lambda::builder().build());
    let error = refused(pool).await;
    assert!(error.contains("FLAME_LAMBDA_FUNCTION") && error.contains("FLAME_AWS"), "{error}");
}

async fn a_start_that_is_throttled_asks_again() {
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

async fn a_start_warns_where_events_may_come_again() {
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
    assert!(log.contains("what becomes of events is unknown") && !log.contains(warning), "{log}");
    let set = function.client.put_function_event_invoke_config().function_name(Function::NAME);
    let set = set.maximum_retry_attempts(0).maximum_event_age_in_seconds(60);
    set.send().await.unwrap();
    let log = logged().await;
    assert!(!log.contains("events is unknown") && !log.contains(warning), "it is well set: {log}");
}

async fn one_backend_serves_several_pools() {
    let function = Function::of_runners().await;
    let backend = function.backend().await.build();
    let pool = || flame_aws::Pool::builder("test").backend(backend.clone());
    let (first, second) = (pool().start().await.unwrap(), pool().start().await.unwrap());
    first.drain().await;
    second.drain().await;
}

async fn a_pool_that_lambda_can_not_reach_is_refused_at_the_start() {
    let function = Function::of_runners().await;
    // An endpoint that is not on this machine: so runners aren't, either.
    let backend =
        function.backend().await.endpoint_url("https://lambda.eu-central-1.amazonaws.com");
    let pool = flame_aws::Pool::builder("test").backend(backend.build());
    let error = refused(pool).await;
    assert!(error.contains("127.0.0.1") && error.contains(".advertise("), "{error}");
}

async fn an_endpoint_for_lambda_alone_may_be_an_emulators() {
    let function = Function::of_runners().await;
    let variables = function.variables();
    let own = |name| if name == "AWS_ENDPOINT_URL" { "AWS_ENDPOINT_URL_LAMBDA" } else { name };
    let variables: Vec<_> = variables.iter().map(|(name, v)| (own(name), v.as_str())).collect();
    let (printed, _) = Program::start("talks_on_lambda", &variables).finish().await;
    assert!(printed.contains("runner "), "it dials 127.0.0.1: {printed}");
}

async fn flame_parent_stands_in_no_log_at_any_level() {
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
        runners.contains("an invocation is a runner"),
        "it has logged at this level: {runners}"
    );
    // As text, and as the bytes of a payload. Every FLAME_PARENT begins so.
    let secret = "flame1.";
    let bytes = format!("{:?}", secret.as_bytes());
    for (log, whose) in [(&parents, "the parent's"), (&runners, "the runner's")] {
        for shown in [secret, bytes.trim_matches(['[', ']'])] {
            let line = log.lines().find(|line| line.contains(shown));
            assert!(line.is_none(), "in {whose} log: {line:?}");
        }
    }
}
