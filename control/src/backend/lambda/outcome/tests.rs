use super::*;

const FUNCTION: &str = "the Lambda function `thumbs`";

fn response(function_error: Option<&str>, payload: &str) -> InvokeResponse {
    InvokeResponse {
        status: 200,
        function_error: function_error.map(str::to_owned),
        payload: payload.as_bytes().to_vec(),
        log: vec!["START RequestId: r-1".to_owned(), "the database is not there".to_owned()],
        request_id: Some("r-1".to_owned()),
    }
}

fn death(response: &InvokeResponse) -> Death {
    match response.outcome(FUNCTION) {
        InvokeOutcome::Ended(death) => death,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_response_of_a_runner_is_its_death() {
    let death = death(&response(None, r#"{"flame":"ended","reason":"Idle","code":0,"calls":3}"#));
    assert_eq!(death.reason, "the runner ended after 3 calls: it was idle (request r-1)");
    assert_eq!((death.exit_code, death.stopped_reason), (Some(0), None));
    assert!(death.log_tail.is_empty(), "a clean end shows no log");
}

#[test]
fn a_runner_that_could_not_reach_its_parent_is_reported_with_what_to_open() {
    let answer = r#"{"flame":"ended","reason":"NeverConnected","code":81,"calls":0}"#;
    let death = death(&response(None, answer));
    assert_eq!(death.exit_code, Some(81));
    assert!(death.reason.contains("VPC") && death.reason.contains("security group"), "{death:?}");
}

#[test]
fn a_queued_event_is_not_an_end() {
    let queued = InvokeResponse { status: 202, payload: Vec::new(), ..response(None, "") };
    assert_eq!(queued.outcome(FUNCTION), InvokeOutcome::Queued);
}

#[test]
fn a_process_that_exits_is_reported_with_its_code_and_its_log() {
    let error = r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r-1 Error: Runtime exited with error: exit status 7"}"#;
    let death = death(&response(Some("Unhandled"), error));
    assert_eq!(death.exit_code, Some(7));
    assert_eq!(death.stopped_reason.as_deref(), Some("Unhandled: Runtime.ExitError"));
    assert!(death.reason.contains("FLAME_RUNNER=lambda"), "{}", death.reason);
    assert!(death.log_tail.contains(&"the database is not there".to_owned()));
}

#[test]
fn each_function_error_has_a_kind_and_advice() {
    use BootFailureKind::{Died, Misconfigured, TimedOut, Unavailable};
    for (name, message, kind, advice) in [
        ("Runtime.ExitError", "Runtime exited without providing a reason", Died, "FLAME_RUNNER"),
        (
            "Runtime.ExitError",
            "Runtime exited with error: signal: killed",
            Died,
            "raise the function's",
        ),
        ("Sandbox.Timedout", "r-1 Error: Task timed out after 3.00 seconds", TimedOut, "App::run"),
        ("", "2026-11-21T07:00:00Z r-1 Task timed out after 3.00 seconds", TimedOut, "App::run"),
        ("Runtime.InvalidEntrypoint", "exec format error", Misconfigured, "architecture"),
        ("Runtime.OutOfMemory", "r-1 Error: Runtime exited: killed", Died, "lack of memory"),
        ("Runtime.Unknown", "r-1 Error: unknown", Died, "10 s"),
        ("Extension.Crash", "exit code 1", Misconfigured, "extension"),
        ("Extension.InitError", "exit code 1", Misconfigured, "extension"),
        ("Sandbox.Failure", "r-1 Error: sandbox", Unavailable, "internal error"),
        (
            "Function.ResponseSizeTooLarge",
            "6291556 bytes",
            Misconfigured,
            "not a build of this app",
        ),
        ("TypeError", "x is not a function", Died, "a build of this app"),
        ("Flame.BadParent", "the event's FLAME_PARENT can't be used: altered", Died, "altered"),
    ] {
        let error = format!(r#"{{"errorType":"{name}","errorMessage":"{message}"}}"#);
        let death = death(&response(Some("Unhandled"), &error));
        assert!(death.reason.contains(message) && death.reason.contains(advice), "{death:?}");
        assert_eq!(death.kind, kind, "{death:?}");
    }
}

/// The advice about another build is given only if nothing else is known.
#[test]
fn an_error_of_lambdas_own_is_not_blamed_on_another_build() {
    for name in [
        "Runtime.OutOfMemory",
        "Runtime.Unknown",
        "Runtime.ExitError",
        "Runtime.New",
        "Extension.New",
        "Sandbox.New",
        "Sandbox.Failure",
        "Function.ResponseSizeTooLarge",
        "Function.New",
    ] {
        let error = format!(r#"{{"errorType":"{name}","errorMessage":"text"}}"#);
        let death = death(&response(Some("Unhandled"), &error));
        assert!(
            !death.reason.contains("check that the function is a build of this app"),
            "{death:?}"
        );
    }
}

#[test]
fn no_advice_states_a_wrong_maximum_timeout() {
    let timed_out =
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 900.00 seconds"}"#;
    let idle = r#"{"flame":"ended","reason":"HostDeadline","code":0,"calls":0}"#;
    for response in [response(Some("Unhandled"), timed_out), response(None, idle)] {
        let death = death(&response);
        assert!(death.reason.contains("`Timeout`"), "{death:?}");
        assert!(!death.reason.contains("900 s"), "{death:?}");
    }
}

#[test]
fn a_response_without_a_request_id_may_not_be_from_lambda() {
    let page =
        InvokeResponse { request_id: None, ..response(None, "<html>Log in to the network</html>") };
    let death = death(&page);
    assert!(death.reason.contains("no request id"), "{death:?}");
    assert!(death.reason.contains("AWS_ENDPOINT_URL"), "{death:?}");
    assert!(!self::death(&response(None, "null")).reason.contains("no request id"));
}

#[test]
fn a_response_that_repeats_the_event_shows_no_token() {
    let echo = response(None, r#"{"FLAME_PARENT":"flame1.c2VjcmV0","v":1}"#);
    assert!(!death(&echo).reason.contains("c2VjcmV0"));
    let error = r#"{"errorType":"KeyError","errorMessage":"in flame1.c2VjcmV0"}"#;
    assert!(!death(&response(Some("Unhandled"), error)).reason.contains("c2VjcmV0"));
}

#[test]
fn an_unexpected_response_is_shown_in_part() {
    let long = format!("\"{}\"", "x".repeat(10_000));
    for payload in ["null", "{}", r#"{"statusCode":200}"#, "not json", &long] {
        let death = death(&response(None, payload));
        assert!(death.reason.contains("FLAME_RUNNER=lambda"), "{death:?}");
        assert!(death.reason.len() < 600);
    }
}

#[test]
fn exit_codes_are_read_from_lambdas_messages() {
    assert_eq!(exit_code("Runtime exited with error: exit status 137"), Some(137));
    assert_eq!(exit_code("Runtime exited with error: signal: killed"), None);
    assert_eq!(exit_code("exit status "), None);
    assert_eq!(exit_code("exit status 99999999999"), None);
}

#[test]
fn a_used_token_means_that_another_invocation_is_the_runner() {
    let duplicate = response(None, r#"{"flame":"rejected","rejection":"UsedToken"}"#);
    assert_eq!(duplicate.outcome(FUNCTION), InvokeOutcome::DuplicateRejected);
    let late = response(None, r#"{"flame":"rejected","rejection":"ExpiredToken"}"#);
    assert!(death(&late).reason.contains("boot_timeout"));
}
