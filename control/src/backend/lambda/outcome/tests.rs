use super::*;

const FUNCTION: &str = "the Lambda function `thumbs`";

fn reply(function_error: Option<&str>, payload: &str) -> Reply {
    Reply {
        status: 200,
        function_error: function_error.map(str::to_owned),
        payload: payload.as_bytes().to_vec(),
        log: vec!["START RequestId: r-1".to_owned(), "the database is not there".to_owned()],
        request_id: Some("r-1".to_owned()),
    }
}

fn death(reply: &Reply) -> Death {
    match reply.meaning(FUNCTION) {
        Meaning::Ended(death) => death,
        other => panic!("{other:?}"),
    }
}

fn refused(code: &str, status: u16) -> Refusal {
    let fault = Fault {
        got: Got::Refused,
        code: Some(code.to_owned()),
        message: "words".to_owned(),
        status: Some(status),
        request_id: Some("r-1".to_owned()),
    };
    Refusal { fault, throttle: None }
}

fn throttled_by(limit: &str) -> Refusal {
    Refusal { throttle: Some(limit.to_owned()), ..refused("TooManyRequestsException", 429) }
}

fn unanswered(got: Got) -> Refusal {
    let message = "dispatch failure: connection reset".to_owned();
    Refusal {
        fault: Fault { got, code: None, message, status: None, request_id: None },
        throttle: None,
    }
}

#[test]
fn the_answer_of_a_runner_is_its_death() {
    let death = death(&reply(None, r#"{"flame":"ended","reason":"Idle","code":0,"calls":3}"#));
    assert_eq!(death.reason, "the runner ended after 3 calls: it was idle (request r-1)");
    assert_eq!((death.exit_code, death.stopped_reason), (Some(0), None));
    assert!(death.log_tail.is_empty(), "nothing is wrong, and nothing is shown");
}

#[test]
fn a_runner_that_can_not_reach_its_parent_is_told_what_to_open() {
    let answer = r#"{"flame":"ended","reason":"NeverConnected","code":81,"calls":0}"#;
    let death = death(&reply(None, answer));
    assert_eq!(death.exit_code, Some(81));
    assert!(death.reason.contains("VPC") && death.reason.contains("security group"), "{death:?}");
}

#[test]
fn a_spent_token_means_that_another_invocation_is_the_runner() {
    let answer = reply(None, r#"{"flame":"refused","refusal":"UsedToken"}"#);
    assert_eq!(answer.meaning(FUNCTION), Meaning::Elsewhere);
    let late = reply(None, r#"{"flame":"refused","refusal":"ExpiredToken"}"#);
    assert!(death(&late).reason.contains("boot_timeout"));
}

#[test]
fn an_event_that_was_taken_is_no_end() {
    let taken = Reply { status: 202, payload: Vec::new(), ..reply(None, "") };
    assert_eq!(taken.meaning(FUNCTION), Meaning::Accepted);
}

#[test]
fn a_process_that_exits_is_told_with_its_code_and_what_it_printed() {
    let error = r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r-1 Error: Runtime exited with error: exit status 7"}"#;
    let death = death(&reply(Some("Unhandled"), error));
    assert_eq!(death.exit_code, Some(7));
    assert_eq!(death.stopped_reason.as_deref(), Some("Unhandled: Runtime.ExitError"));
    assert!(death.reason.contains("FLAME_RUNNER=lambda"), "{}", death.reason);
    assert!(death.log_tail.contains(&"the database is not there".to_owned()));
}

#[test]
fn each_way_in_which_a_function_fails_says_what_to_do() {
    use BootFailureKind::{Died, Refused, TimedOut};
    for (name, message, kind, advice) in [
        ("Runtime.ExitError", "Runtime exited without providing a reason", Died, "FLAME_RUNNER"),
        (
            "Runtime.ExitError",
            "Runtime exited with error: signal: killed",
            Died,
            "give the function more",
        ),
        ("Sandbox.Timedout", "r-1 Error: Task timed out after 3.00 seconds", TimedOut, "900 s"),
        ("", "2026-11-21T07:00:00Z r-1 Task timed out after 3.00 seconds", TimedOut, "900 s"),
        ("Runtime.InvalidEntrypoint", "exec format error", Refused, "architecture"),
        ("TypeError", "x is not a function", Died, "a build of this app"),
        ("Flame.BadParent", "the event's FLAME_PARENT can't be used: altered", Died, "altered"),
    ] {
        let error = format!(r#"{{"errorType":"{name}","errorMessage":"{message}"}}"#);
        let death = death(&reply(Some("Unhandled"), &error));
        assert!(death.reason.contains(message) && death.reason.contains(advice), "{death:?}");
        assert_eq!(death.kind, kind, "{death:?}");
    }
}

#[test]
fn an_answer_of_something_else_is_shown_in_part() {
    let long = format!("\"{}\"", "x".repeat(10_000));
    for payload in ["null", "{}", r#"{"statusCode":200}"#, "not json", &long] {
        let death = death(&reply(None, payload));
        assert!(death.reason.contains("FLAME_RUNNER=lambda"), "{death:?}");
        assert!(death.reason.len() < 600);
    }
}

#[test]
fn only_what_was_surely_not_run_is_tried_again_at_will() {
    for code in PASSING {
        assert_eq!(refused(code, 409).verdict(), Verdict::Later, "{code}");
    }
    assert_eq!(throttled_by("CallerRateLimitExceeded").verdict(), Verdict::Later);
    assert_eq!(refused("ServiceException", 500).verdict(), Verdict::Unclear);
    assert_eq!(unanswered(Got::NoAnswer).verdict(), Verdict::Unclear);
    assert_eq!(unanswered(Got::Nowhere).verdict(), Verdict::Never);
    for code in ["AccessDeniedException", "ResourceNotFoundException", "NewException"] {
        assert_eq!(refused(code, 400).verdict(), Verdict::Never, "{code}");
    }
    for code in ["KMSDisabledException", "InvalidSubnetIDException", "InvalidZipFileException"] {
        assert_eq!(refused(code, 502).verdict(), Verdict::Never, "its name says more: {code}");
    }
}

#[test]
fn each_refusal_is_of_a_kind() {
    let kind = |refusal: Refusal| refusal.death(FUNCTION, 1).kind;
    let concurrency = "ConcurrentInvocationLimitExceeded";
    assert_eq!(kind(throttled_by(concurrency)), BootFailureKind::Quota);
    assert_eq!(kind(throttled_by("CallerRateLimitExceeded")), BootFailureKind::Throttled);
    assert_eq!(kind(refused("ENINotReadyException", 502)), BootFailureKind::Unavailable);
    assert_eq!(kind(unanswered(Got::NoAnswer)), BootFailureKind::Unavailable);
    assert_eq!(kind(refused("AccessDeniedException", 403)), BootFailureKind::Refused);
}

#[test]
fn each_refusal_says_what_to_do() {
    for (code, advice) in [
        ("AccessDeniedException", "lambda:InvokeFunction"),
        ("ResourceNotFoundException", "FLAME_LAMBDA_QUALIFIER"),
        ("RecursiveInvocationException", "max_depth"),
        ("RequestTooLargeException", "a limit of its own"),
        ("KMSAccessDeniedException", "kms:Decrypt"),
        ("KMSDisabledException", "enable it"),
        ("ResourceConflictException", "until its state is Active"),
        ("SnapStartTimeoutException", "switch SnapStart off"),
        ("EC2AccessDeniedException", "AWSLambdaVPCAccessExecutionRole"),
        ("SubnetIPAddressLimitReachedException", "free addresses"),
        ("InvalidZipFileException", "bootstrap"),
        ("TooManyRequestsException", "`max`"),
        ("UnrecognizedClientException", "credentials"),
    ] {
        let death = refused(code, 400).death(FUNCTION, 1);
        assert!(death.reason.contains(advice), "{code}: {}", death.reason);
        assert!(death.reason.contains("words (request r-1)"), "{}", death.reason);
        assert_eq!(death.stopped_reason.as_deref(), Some(code));
    }
    assert!(unanswered(Got::NoAnswer).death(FUNCTION, 2).reason.contains("AWS_ENDPOINT_URL"));
    assert!(unanswered(Got::Nowhere).death(FUNCTION, 1).reason.contains("AWS_REGION"));
}

#[test]
fn each_limit_that_throttles_is_named_and_says_what_to_do() {
    for (limit, advice) in [
        ("ConcurrentInvocationLimitExceeded", "quota"),
        ("ReservedFunctionConcurrentInvocationLimitExceeded", "0 switches a function off"),
        ("CallerRateLimitExceeded", "fewer runners at a time"),
        ("FunctionInvocationRateLimitExceeded", "idle_shutdown_after"),
    ] {
        let death = throttled_by(limit).death(FUNCTION, 9);
        assert!(death.reason.contains(advice), "{}", death.reason);
        assert!(death.reason.contains("9 times"), "{}", death.reason);
        assert_eq!(death.stopped_reason, Some(format!("TooManyRequestsException: {limit}")));
    }
}

#[test]
fn exit_codes_are_read_where_lambda_tells_them() {
    assert_eq!(exit_code("Runtime exited with error: exit status 137"), Some(137));
    assert_eq!(exit_code("Runtime exited with error: signal: killed"), None);
    assert_eq!(exit_code("exit status "), None);
    assert_eq!(exit_code("exit status 99999999999"), None);
}
