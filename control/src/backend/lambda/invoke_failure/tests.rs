use super::rules::ERRORS;
use super::*;

const FUNCTION: &str = "the Lambda function `thumbs`";

fn rejected(code: &str, status: u16) -> InvokeFailure {
    let error = ApiError {
        code: Some(code.to_owned()),
        message: "text".to_owned(),
        status: Some(status),
        request_id: Some("r-1".to_owned()),
        ..ApiError::new(ApiErrorKind::Rejected)
    };
    InvokeFailure { error, throttle: None }
}

fn throttled_by(limit: &str) -> InvokeFailure {
    InvokeFailure { throttle: Some(limit.to_owned()), ..rejected("TooManyRequestsException", 429) }
}

fn unanswered(kind: ApiErrorKind) -> InvokeFailure {
    let message = "dispatch failure: connection reset".to_owned();
    InvokeFailure { error: ApiError { message, ..ApiError::new(kind) }, throttle: None }
}

#[test]
fn only_a_request_that_was_certainly_not_carried_out_is_retried_freely() {
    for rule in ERRORS
        .iter()
        .filter(|rule| matches!(rule.category, ErrorCategory::Passing | ErrorCategory::Throttled))
    {
        for code in rule.codes {
            assert_eq!(rejected(code, 409).retry_decision(), RetryDecision::Retry, "{code}");
        }
    }
    assert_eq!(throttled_by("CallerRateLimitExceeded").retry_decision(), RetryDecision::Retry);
    assert_eq!(rejected("ServiceException", 500).retry_decision(), RetryDecision::Ambiguous);
    assert_eq!(unanswered(ApiErrorKind::NoResponse).retry_decision(), RetryDecision::Ambiguous);
    assert_eq!(unanswered(ApiErrorKind::NotSent).retry_decision(), RetryDecision::GiveUp);
    for code in ["AccessDeniedException", "ResourceNotFoundException", "NewException"] {
        assert_eq!(rejected(code, 400).retry_decision(), RetryDecision::GiveUp, "{code}");
    }
    for code in ["KMSDisabledException", "InvalidSubnetIDException", "InvalidZipFileException"] {
        assert_eq!(
            rejected(code, 502).retry_decision(),
            RetryDecision::GiveUp,
            "the code says more than the status: {code}"
        );
    }
}

#[test]
fn each_failure_has_a_kind() {
    let kind = |failure: InvokeFailure| failure.death(FUNCTION, 1).kind;
    let concurrency = "ConcurrentInvocationLimitExceeded";
    assert_eq!(kind(throttled_by(concurrency)), BootFailureKind::Quota);
    assert_eq!(kind(throttled_by("CallerRateLimitExceeded")), BootFailureKind::Throttled);
    assert_eq!(kind(rejected("ENINotReadyException", 502)), BootFailureKind::Unavailable);
    assert_eq!(kind(unanswered(ApiErrorKind::NoResponse)), BootFailureKind::Unavailable);
    assert_eq!(kind(rejected("AccessDeniedException", 403)), BootFailureKind::Misconfigured);
}

#[test]
fn each_failure_says_what_to_do() {
    for (code, advice) in [
        ("AccessDeniedException", "lambda:InvokeFunction"),
        ("ResourceNotFoundException", "FLAME_LAMBDA_QUALIFIER"),
        ("RecursiveInvocationException", "max_depth"),
        ("RequestTooLargeException", "a limit of its own"),
        ("KMSAccessDeniedException", "kms:Decrypt"),
        ("KMSDisabledException", "enable the key"),
        ("ResourceConflictException", "until its state is Active"),
        ("SnapStartTimeoutException", "SnapStart"),
        ("EC2AccessDeniedException", "AWSLambdaVPCAccessExecutionRole"),
        ("SubnetIPAddressLimitReachedException", "free addresses"),
        ("InvalidZipFileException", "bootstrap"),
        ("TooManyRequestsException", "`max`"),
        ("UnrecognizedClientException", "credentials"),
    ] {
        let death = rejected(code, 400).death(FUNCTION, 1);
        assert!(death.reason.contains(advice), "{code}: {}", death.reason);
        assert!(death.reason.contains("text (request r-1)"), "{}", death.reason);
        assert_eq!(death.stopped_reason.as_deref(), Some(code));
    }
    assert!(
        unanswered(ApiErrorKind::NoResponse).death(FUNCTION, 2).reason.contains("AWS_ENDPOINT_URL")
    );
    assert!(unanswered(ApiErrorKind::NotSent).death(FUNCTION, 1).reason.contains("AWS_REGION"));
}

/// All errors of Invoke (botocore 1.44.8, lambda 2015-03-31, `Invoke`, errors).
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
        let failure = rejected(code, status);
        assert!(failure.advice().is_some(), "{code}");
        let reason = failure.death(FUNCTION, 1).reason;
        assert!(!reason.contains("did not respond"), "{reason}");
        if failure.retry_decision() == RetryDecision::Ambiguous {
            assert_eq!(
                code, "ServiceException",
                "all other errors say that the function was not invoked"
            );
        }
    }
}

#[test]
fn a_used_up_quota_is_not_retried() {
    let failure = rejected("ServiceQuotaExceededException", 402);
    assert_eq!(failure.retry_decision(), RetryDecision::GiveUp);
    let death = failure.death(FUNCTION, 1);
    assert_eq!(death.kind, BootFailureKind::Quota);
    assert!(death.reason.contains("Service Quotas"), "{death:?}");
}

#[test]
fn throttling_by_ec2_is_retried_and_not_taken_for_a_wrong_network() {
    for code in
        ["EC2ThrottledException", "EC2UnexpectedException", "InvalidParameterValueException"]
    {
        let mut failure = rejected(code, 502);
        failure.error.message = "Request limit exceeded. (RequestLimitExceeded)".to_owned();
        assert_eq!(failure.retry_decision(), RetryDecision::Retry, "{code}");
        let death = failure.death(FUNCTION, 1);
        assert_eq!(death.kind, BootFailureKind::Throttled, "{death:?}");
        assert!(!death.reason.contains("subnets"), "{death:?}");
    }
}

#[test]
fn an_unknown_limit_has_the_general_advice() {
    for limit in ["ConcurrentSnapshotCreateLimitExceeded", "SomethingNewLimitExceeded"] {
        let death = throttled_by(limit).death(FUNCTION, 2);
        assert!(death.reason.contains("`max`"), "{}", death.reason);
        assert_eq!(death.kind, BootFailureKind::Throttled, "{death:?}");
    }
}

#[test]
fn the_advice_on_snapshots_names_snapstart() {
    let reason = rejected("SnapStartException", 400).death(FUNCTION, 1).reason;
    assert!(!reason.contains("nothing to restore"), "{reason}");
    assert!(reason.contains("SnapStart"), "{reason}");
}

#[test]
fn a_foreign_response_is_not_reported_as_lambdas() {
    let foreign = |status, message: &str| {
        let error = ApiError {
            status: Some(status),
            message: message.to_owned(),
            ..ApiError::new(ApiErrorKind::Foreign)
        };
        InvokeFailure { error, throttle: None }
    };
    let unlicensed = foreign(501, "not in your plan");
    assert_eq!(unlicensed.retry_decision(), RetryDecision::GiveUp);
    assert_eq!(foreign(502, "Bad Gateway").retry_decision(), RetryDecision::Ambiguous);
    for failure in [unlicensed, foreign(502, "Bad Gateway"), foreign(407, "Proxy")] {
        let reason = failure.death(FUNCTION, 1).reason;
        let status = failure.error.status.unwrap();
        assert!(reason.contains(&format!("HTTP {status}: {}", failure.error.message)), "{reason}");
        assert!(reason.contains("AWS_ENDPOINT_URL"), "{reason}");
        assert!(
            !reason.contains("did not respond") && !reason.contains("Lambda rejected"),
            "{reason}"
        );
    }
}

#[test]
fn an_unsent_request_is_not_reported_as_rejected() {
    let reason = unanswered(ApiErrorKind::NotSent).death(FUNCTION, 1).reason;
    assert!(!reason.contains("Lambda rejected"), "{reason}");
}

#[test]
fn each_throttling_limit_is_named_with_advice() {
    for (limit, advice) in [
        ("ConcurrentInvocationLimitExceeded", "quota"),
        ("ReservedFunctionConcurrentInvocationLimitExceeded", "a function with 0 is disabled"),
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
fn each_error_has_one_rule() {
    let mut codes: Vec<_> = ERRORS.iter().flat_map(|rule| rule.codes).collect();
    let all = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all);
}
