use super::*;

const FUNCTION: &str = "the Lambda function `thumbs`";

fn refused(code: &str, status: u16) -> Refusal {
    let fault = Fault {
        code: Some(code.to_owned()),
        message: "words".to_owned(),
        status: Some(status),
        request_id: Some("r-1".to_owned()),
        ..Fault::new(Got::Refused)
    };
    Refusal { fault, throttle: None }
}

fn throttled_by(limit: &str) -> Refusal {
    Refusal { throttle: Some(limit.to_owned()), ..refused("TooManyRequestsException", 429) }
}

fn unanswered(got: Got) -> Refusal {
    let message = "dispatch failure: connection reset".to_owned();
    Refusal { fault: Fault { message, ..Fault::new(got) }, throttle: None }
}

#[test]
fn only_what_was_surely_not_run_is_tried_again_at_will() {
    for row in ERRORS.iter().filter(|row| matches!(row.sort, Sort::Passing | Sort::Throttled)) {
        for code in row.codes {
            assert_eq!(refused(code, 409).verdict(), Verdict::Later, "{code}");
        }
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
        ("SnapStartTimeoutException", "SnapStart"),
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

/// All that Invoke can answer (botocore 1.44.8, lambda 2015-03-31, `Invoke`, errors).
#[test]
fn each_error_of_the_model_says_what_to_do() {
    for (code, status) in [
        ("CodeArtifactUserDeletedException", 409),
        ("CodeArtifactUserFailedException", 409),
        ("CodeArtifactUserPendingException", 409),
        ("DurableExecutionAlreadyStartedException", 409),
        ("EC2AccessDeniedException", 502),
        ("EC2ThrottledException", 502),
        ("EC2UnexpectedException", 502),
        ("EFSIOException", 410),
        ("EFSMountConnectivityException", 408),
        ("EFSMountFailureException", 403),
        ("EFSMountTimeoutException", 408),
        ("ENILimitReachedException", 502),
        ("ENINotReadyException", 502),
        ("InvalidParameterValueException", 400),
        ("InvalidRequestContentException", 400),
        ("InvalidRuntimeException", 502),
        ("InvalidSecurityGroupIDException", 502),
        ("InvalidSubnetIDException", 502),
        ("InvalidZipFileException", 502),
        ("KMSAccessDeniedException", 502),
        ("KMSDisabledException", 502),
        ("KMSInvalidStateException", 502),
        ("KMSNotFoundException", 502),
        ("ModeNotSupportedException", 400),
        ("NoPublishedVersionException", 400),
        ("RecursiveInvocationException", 400),
        ("RequestTooLargeException", 413),
        ("ResourceConflictException", 409),
        ("ResourceNotFoundException", 404),
        ("ResourceNotReadyException", 502),
        ("RuntimeAliasDeletedException", 409),
        ("RuntimeVersionDeletedException", 409),
        ("S3FilesMountConnectivityException", 408),
        ("S3FilesMountFailureException", 403),
        ("S3FilesMountTimeoutException", 408),
        ("SerializedRequestEntityTooLargeException", 413),
        ("ServiceException", 500),
        ("ServiceQuotaExceededException", 402),
        ("SnapStartException", 400),
        ("SnapStartNotReadyException", 409),
        ("SnapStartRegenerationFailureException", 409),
        ("SnapStartTimeoutException", 408),
        ("SubnetIPAddressLimitReachedException", 502),
        ("TooManyRequestsException", 429),
        ("UnsupportedMediaTypeException", 415),
    ] {
        let refusal = refused(code, status);
        assert!(refusal.advice().is_some(), "{code}");
        let reason = refusal.death(FUNCTION, 1).reason;
        assert!(!reason.contains("no answer"), "{reason}");
        if refusal.verdict() == Verdict::Unclear {
            assert_eq!(code, "ServiceException", "the others say that nothing was run");
        }
    }
}

#[test]
fn a_quota_is_one_and_is_not_asked_for_again() {
    let refusal = refused("ServiceQuotaExceededException", 402);
    assert_eq!(refusal.verdict(), Verdict::Never);
    let death = refusal.death(FUNCTION, 1);
    assert_eq!(death.kind, BootFailureKind::Quota);
    assert!(death.reason.contains("Service Quotas"), "{death:?}");
}

#[test]
fn throttling_by_ec2_passes_and_is_no_wrong_network() {
    for code in
        ["EC2ThrottledException", "EC2UnexpectedException", "InvalidParameterValueException"]
    {
        let mut refusal = refused(code, 502);
        refusal.fault.message = "Request limit exceeded. (RequestLimitExceeded)".to_owned();
        assert_eq!(refusal.verdict(), Verdict::Later, "{code}");
        let death = refusal.death(FUNCTION, 1);
        assert_eq!(death.kind, BootFailureKind::Throttled, "{death:?}");
        assert!(!death.reason.contains("subnets"), "{death:?}");
    }
}

#[test]
fn a_limit_that_is_not_known_keeps_the_general_advice() {
    for limit in ["ConcurrentSnapshotCreateLimitExceeded", "SomethingNewLimitExceeded"] {
        let death = throttled_by(limit).death(FUNCTION, 2);
        assert!(death.reason.contains("`max`"), "{}", death.reason);
        assert_eq!(death.kind, BootFailureKind::Throttled, "{death:?}");
    }
}

#[test]
fn the_advice_on_snapshots_does_not_say_that_a_runner_has_none() {
    let reason = refused("SnapStartException", 400).death(FUNCTION, 1).reason;
    assert!(!reason.contains("nothing to restore"), "{reason}");
    assert!(reason.contains("SnapStart"), "{reason}");
}

#[test]
fn an_answer_that_is_not_lambdas_is_told_as_that() {
    let foreign = |status, message: &str| {
        let fault =
            Fault { status: Some(status), message: message.to_owned(), ..Fault::new(Got::Foreign) };
        Refusal { fault, throttle: None }
    };
    let unlicensed = foreign(501, "not in your plan");
    assert_eq!(unlicensed.verdict(), Verdict::Never);
    assert_eq!(foreign(502, "Bad Gateway").verdict(), Verdict::Unclear);
    for refusal in [unlicensed, foreign(502, "Bad Gateway"), foreign(407, "Proxy")] {
        let reason = refusal.death(FUNCTION, 1).reason;
        let status = refusal.fault.status.unwrap();
        assert!(reason.contains(&format!("HTTP {status}: {}", refusal.fault.message)), "{reason}");
        assert!(reason.contains("AWS_ENDPOINT_URL"), "{reason}");
        assert!(!reason.contains("no answer") && !reason.contains("Lambda refuses"), "{reason}");
    }
}

#[test]
fn what_was_not_sent_was_not_refused() {
    let reason = unanswered(Got::Nowhere).death(FUNCTION, 1).reason;
    assert!(!reason.contains("Lambda refuses"), "{reason}");
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
fn each_error_has_one_row() {
    let mut codes: Vec<_> = ERRORS.iter().flat_map(|row| row.codes).collect();
    let all = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all);
}
