//! The errors of Invoke: what each means, and what to do about it.

/// The meaning of an error code that says more than the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorCategory {
    /// Not carried out, and the cause passes.
    Passing,
    /// Not carried out, because of too many requests.
    Throttled,
    /// A person must correct something.
    Permanent,
    /// A person must have a quota raised.
    Quota,
    /// The status decides.
    ByStatus,
}

/// Error codes of one category, and what to do about them.
pub(super) struct ErrorRule {
    pub(super) codes: &'static [&'static str],
    pub(super) category: ErrorCategory,
    pub(super) advice: &'static str,
}

/// The errors of Invoke (botocore 1.44.8, lambda 2015-03-31, `Invoke`, errors and their
/// documentation), and AccessDeniedException, which every AWS service has.
pub(super) const ERRORS: &[ErrorRule] = &[
    ErrorRule {
        codes: &["TooManyRequestsException"],
        category: ErrorCategory::Throttled,
        advice: "Lambda throttled the request: lower the pool's `max`, or raise the function's or the \
                 account's concurrency",
    },
    ErrorRule {
        codes: &["EC2ThrottledException"],
        category: ErrorCategory::Throttled,
        advice: "EC2 throttled Lambda while Lambda attached the function to its VPC: boot fewer \
                 runners at a time",
    },
    ErrorRule {
        codes: &["ServiceQuotaExceededException"],
        category: ErrorCategory::Quota,
        advice: "a quota of the account is used up: raise the quota (Service Quotas, AWS Lambda), or \
                 lower the pool's `max`",
    },
    ErrorRule {
        codes: &["ResourceNotFoundException"],
        category: ErrorCategory::Permanent,
        advice: "this account and region have no such function, version or alias: check \
                 FLAME_LAMBDA_FUNCTION, FLAME_LAMBDA_QUALIFIER and AWS_REGION",
    },
    ErrorRule {
        codes: &["AccessDeniedException"],
        category: ErrorCategory::Permanent,
        advice: "grant this process's role `lambda:InvokeFunction` on the function's ARN and on the \
                 ARN of its alias or version",
    },
    ErrorRule {
        codes: &["RecursiveInvocationException"],
        category: ErrorCategory::Permanent,
        advice: "Lambda detected and stopped a loop of functions that invoke each other: lower \
                 `max_depth`, or allow the loop by the function's RecursiveLoop setting",
    },
    ErrorRule {
        codes: &["RequestTooLargeException", "SerializedRequestEntityTooLargeException"],
        category: ErrorCategory::Permanent,
        advice: "a boot's event has less than 2 KB, so something between this process and Lambda has \
                 a limit of its own",
    },
    ErrorRule {
        codes: &[
            "InvalidParameterValueException",
            "InvalidRequestContentException",
            "UnsupportedMediaTypeException",
        ],
        category: ErrorCategory::Permanent,
        advice: "check FLAME_LAMBDA_FUNCTION and FLAME_LAMBDA_QUALIFIER; if they are correct, \
                 something between this process and Lambda has changed the request",
    },
    ErrorRule {
        codes: &["KMSAccessDeniedException"],
        category: ErrorCategory::Permanent,
        advice: "grant the function's execution role `kms:Decrypt` on the key that encrypts the \
                 function's environment",
    },
    ErrorRule {
        codes: &["KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException"],
        category: ErrorCategory::Permanent,
        advice: "the key that encrypts the function's environment is disabled or deleted: enable the \
                 key, or give the function another key",
    },
    ErrorRule {
        codes: &["ResourceConflictException", "ResourceNotReadyException"],
        category: ErrorCategory::Passing,
        advice: "Lambda is deploying or reactivating the function: wait until its state is Active",
    },
    ErrorRule {
        codes: &["CodeArtifactUserPendingException"],
        category: ErrorCategory::Passing,
        advice: "Lambda is still preparing the function's code: wait until its state is Active",
    },
    ErrorRule {
        codes: &["CodeArtifactUserDeletedException", "CodeArtifactUserFailedException"],
        category: ErrorCategory::Permanent,
        advice: "Lambda can no longer read the function's code: deploy the code again",
    },
    ErrorRule {
        codes: &["SnapStartNotReadyException"],
        category: ErrorCategory::Passing,
        advice: "Lambda is still creating the snapshot of this version: wait until its state is \
                 Active",
    },
    ErrorRule {
        codes: &[
            "SnapStartException",
            "SnapStartTimeoutException",
            "SnapStartRegenerationFailureException",
        ],
        category: ErrorCategory::Permanent,
        advice: "the function's snapshot can't be created or restored: check in its log what `main` \
                 does before `App::run`, publish a new version, or disable SnapStart",
    },
    ErrorRule {
        codes: &["EC2AccessDeniedException"],
        category: ErrorCategory::Permanent,
        advice: "grant the function's execution role the permissions for its VPC \
                 (AWSLambdaVPCAccessExecutionRole)",
    },
    ErrorRule {
        codes: &["ENINotReadyException"],
        category: ErrorCategory::Passing,
        advice: "Lambda is still creating the function's network interface: try again in a minute",
    },
    ErrorRule {
        codes: &[
            "EC2UnexpectedException",
            "ENILimitReachedException",
            "SubnetIPAddressLimitReachedException",
            "InvalidSubnetIDException",
            "InvalidSecurityGroupIDException",
        ],
        category: ErrorCategory::Permanent,
        advice: "Lambda can't attach the function to its VPC: check its subnets, their free \
                 addresses, its security groups and the quota of network interfaces",
    },
    ErrorRule {
        codes: &[
            "EFSIOException",
            "EFSMountConnectivityException",
            "EFSMountFailureException",
            "EFSMountTimeoutException",
            "S3FilesMountConnectivityException",
            "S3FilesMountFailureException",
            "S3FilesMountTimeoutException",
        ],
        category: ErrorCategory::Permanent,
        advice: "the function's file system can't be mounted or read: check its mount targets, the \
                 security groups of the file system and the function (port 2049), and the \
                 execution role; a runner itself needs no file system",
    },
    ErrorRule {
        codes: &[
            "InvalidRuntimeException",
            "InvalidZipFileException",
            "NoPublishedVersionException",
        ],
        category: ErrorCategory::Permanent,
        advice: "deploy the function again, as an image, or as a zip file with a `bootstrap` for \
                 provided.al2023",
    },
    ErrorRule {
        codes: &["RuntimeAliasDeletedException", "RuntimeVersionDeletedException"],
        category: ErrorCategory::Permanent,
        advice: "the function's runtime no longer exists: update the function to an existing \
                 runtime, such as provided.al2023",
    },
    ErrorRule {
        codes: &["ModeNotSupportedException", "DurableExecutionAlreadyStartedException"],
        category: ErrorCategory::Permanent,
        advice: "use an ordinary function: not a durable function, and not one with a capacity \
                 provider",
    },
    ErrorRule {
        codes: &["ServiceException"],
        category: ErrorCategory::ByStatus,
        advice: "Lambda had an internal error: call again, and see the AWS Health Dashboard",
    },
];

/// The rule for an error code.
pub(super) fn rule(code: &str) -> Option<&'static ErrorRule> {
    ERRORS.iter().find(|rule| rule.codes.contains(&code))
}

/// Advice about a limit that throttles, if the limit is known.
pub(super) fn advice_on_limit(limit: &str) -> Option<&'static str> {
    Some(match limit {
        "ConcurrentInvocationLimitExceeded" => {
            "the account's concurrency is used up: lower the pool's `max`, give the function \
             reserved concurrency, or raise the quota"
        }
        "ReservedFunctionConcurrentInvocationLimitExceeded" => {
            "the function's reserved concurrency is used up: raise it to at least the pool's `max`; \
             a function with 0 is disabled"
        }
        "CallerRateLimitExceeded" => {
            "this account makes too many requests to Lambda's API: boot fewer runners at a time"
        }
        "FunctionInvocationRateLimitExceeded" | "ReservedFunctionInvocationRateLimitExceeded" => {
            "the function is invoked more often than its concurrency allows (ten times its \
             concurrency per second): raise `idle_shutdown_after`, so that runners live longer"
        }
        _ => return None,
    })
}
