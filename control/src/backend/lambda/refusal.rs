//! What it means where Lambda does not take an Invoke, or does not answer it: pure.
//!
//! ```text
//! Refusal ─▶ Later: not carried out, try again    Unclear: perhaps carried out    Never: for a person
//! ```

use super::super::aws::class::{self, Class};
use super::super::aws::fault::{Fault, Got};
use super::super::aws::words;
use crate::backend::BootFailureKind;
use crate::backend::Death;

/// A request that was refused, or has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) fault: Fault,
    /// Which limit throttles, in Lambda's words.
    pub(super) throttle: Option<String>,
}

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing was run: the same again, later.
    Later,
    /// It may have been carried out.
    Unclear,
    /// It stays so.
    Never,
}

/// What an error of Lambda's calls for, where its name tells more than its HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Not carried out, and over by itself.
    Passing,
    /// Not carried out, because of too many requests.
    Throttled,
    /// For a person.
    Wrong,
    /// A quota: for a person.
    Quota,
    /// As its status has it.
    Other,
}

/// Errors of a sort, and what to do about them.
struct Row {
    codes: &'static [&'static str],
    sort: Sort,
    advice: &'static str,
}

/// The errors of Invoke (botocore 1.44.8, lambda 2015-03-31, `Invoke`, errors and their
/// documentation), and AccessDeniedException, which each of AWS's services has.
const ERRORS: &[Row] = &[
    Row {
        codes: &["TooManyRequestsException"],
        sort: Sort::Throttled,
        advice: "it is throttled: lower the pool's `max`, or raise the concurrency of function or \
                 account",
    },
    Row {
        codes: &["EC2ThrottledException"],
        sort: Sort::Throttled,
        advice: "EC2 throttles Lambda, which places the function into its VPC: boot fewer runners \
                 at a time",
    },
    Row {
        codes: &["ServiceQuotaExceededException"],
        sort: Sort::Quota,
        advice: "a quota of the account is used up: have it raised (Service Quotas, AWS Lambda), or \
                 lower the pool's `max`",
    },
    Row {
        codes: &["ResourceNotFoundException"],
        sort: Sort::Wrong,
        advice: "there is no such function, version or alias in this account and region: look at \
                 FLAME_LAMBDA_FUNCTION, FLAME_LAMBDA_QUALIFIER and AWS_REGION",
    },
    Row {
        codes: &["AccessDeniedException"],
        sort: Sort::Wrong,
        advice: "give the role of this process `lambda:InvokeFunction` on the function's ARN and on \
                 that of its alias or version",
    },
    Row {
        codes: &["RecursiveInvocationException"],
        sort: Sort::Wrong,
        advice: "Lambda has found functions that invoke each other in a circle and has stopped it: \
                 nest calls less deep (`max_depth`), or allow it by the function's setting \
                 RecursiveLoop",
    },
    Row {
        codes: &["RequestTooLargeException", "SerializedRequestEntityTooLargeException"],
        sort: Sort::Wrong,
        advice: "a boot's event has less than 2 KB: something on the way to Lambda has a limit of \
                 its own",
    },
    Row {
        codes: &[
            "InvalidParameterValueException",
            "InvalidRequestContentException",
            "UnsupportedMediaTypeException",
        ],
        sort: Sort::Wrong,
        advice: "look at FLAME_LAMBDA_FUNCTION and FLAME_LAMBDA_QUALIFIER; where they are right, \
                 something on the way to Lambda has changed the request",
    },
    Row {
        codes: &["KMSAccessDeniedException"],
        sort: Sort::Wrong,
        advice: "give the function's execution role `kms:Decrypt` on the key of its environment",
    },
    Row {
        codes: &["KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException"],
        sort: Sort::Wrong,
        advice: "the key that encrypts the function's environment is disabled or gone: enable it, \
                 or give the function another",
    },
    Row {
        codes: &["ResourceConflictException", "ResourceNotReadyException"],
        sort: Sort::Passing,
        advice: "the function is being deployed or woken up: wait until its state is Active",
    },
    Row {
        codes: &["CodeArtifactUserPendingException"],
        sort: Sort::Passing,
        advice: "Lambda is still preparing the function's code: wait until its state is Active",
    },
    Row {
        codes: &["CodeArtifactUserDeletedException", "CodeArtifactUserFailedException"],
        sort: Sort::Wrong,
        advice: "Lambda has lost what it reads the function's code with: deploy the code anew",
    },
    Row {
        codes: &["SnapStartNotReadyException"],
        sort: Sort::Passing,
        advice: "Lambda is still making the snapshot of this version: wait until its state is \
                 Active",
    },
    Row {
        codes: &[
            "SnapStartException",
            "SnapStartTimeoutException",
            "SnapStartRegenerationFailureException",
        ],
        sort: Sort::Wrong,
        advice: "its snapshot can't be made or restored: see its log for what its `main` does \
                 before `App::run`, publish a new version, or switch SnapStart off",
    },
    Row {
        codes: &["EC2AccessDeniedException"],
        sort: Sort::Wrong,
        advice: "give the function's execution role the permissions for its VPC \
                 (AWSLambdaVPCAccessExecutionRole)",
    },
    Row {
        codes: &["ENINotReadyException"],
        sort: Sort::Passing,
        advice: "Lambda is still making the network interface of the function: try again in a minute",
    },
    Row {
        codes: &[
            "EC2UnexpectedException",
            "ENILimitReachedException",
            "SubnetIPAddressLimitReachedException",
            "InvalidSubnetIDException",
            "InvalidSecurityGroupIDException",
        ],
        sort: Sort::Wrong,
        advice: "Lambda can't place the function into its VPC: look at its subnets, their free \
                 addresses, its security groups and the quota of network interfaces",
    },
    Row {
        codes: &[
            "EFSIOException",
            "EFSMountConnectivityException",
            "EFSMountFailureException",
            "EFSMountTimeoutException",
            "S3FilesMountConnectivityException",
            "S3FilesMountFailureException",
            "S3FilesMountTimeoutException",
        ],
        sort: Sort::Wrong,
        advice: "the function's file system can't be mounted or read: look at its mount targets, at \
                 the security groups of both (port 2049), and at the execution role; a runner \
                 needs none for itself",
    },
    Row {
        codes: &[
            "InvalidRuntimeException",
            "InvalidZipFileException",
            "NoPublishedVersionException",
        ],
        sort: Sort::Wrong,
        advice: "deploy the function anew: an image, or a zip with a `bootstrap` for \
                 provided.al2023",
    },
    Row {
        codes: &["RuntimeAliasDeletedException", "RuntimeVersionDeletedException"],
        sort: Sort::Wrong,
        advice: "the function's runtime is no longer there: update the function to one that is, \
                 such as provided.al2023",
    },
    Row {
        codes: &["ModeNotSupportedException", "DurableExecutionAlreadyStartedException"],
        sort: Sort::Wrong,
        advice: "use an ordinary function: not a durable one, and none on a capacity provider",
    },
    Row {
        codes: &["ServiceException"],
        sort: Sort::Other,
        advice: "Lambda had a fault of its own: call again, and see AWS's health page",
    },
];

fn row(code: &str) -> Option<&'static Row> {
    ERRORS.iter().find(|row| row.codes.contains(&code))
}

impl Refusal {
    /// What its name says of it.
    fn sort(&self) -> Sort {
        let code = self.fault.code.as_deref().unwrap_or_default();
        match row(code).map_or(Sort::Other, |row| row.sort) {
            // EC2's throttling may stand inside an error about the network.
            Sort::Wrong if words::says_any(&self.fault.message, words::THROTTLED) => {
                Sort::Throttled
            }
            sort => sort,
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        match (self.sort(), Class::of(&self.fault)) {
            (Sort::Passing | Sort::Throttled, _) => Verdict::Later,
            (Sort::Wrong | Sort::Quota, _) => Verdict::Never,
            (Sort::Other, Class::Throttled | Class::Capacity) => Verdict::Later,
            // Lambda's own trouble: whether it had begun is not said.
            (Sort::Other, Class::Transient) => Verdict::Unclear,
            (Sort::Other, Class::Quota | Class::Conflict | Class::Config) => Verdict::Never,
        }
    }

    /// Why the function can't be invoked, and what to do; `tried` is how often it was.
    pub(super) fn death(&self, function: &str, tried: u32) -> Death {
        let times = if tried > 1 { format!(", {tried} times") } else { String::new() };
        let fault = &self.fault;
        let what = match (fault.got, self.verdict()) {
            (Got::Foreign, _) => format!(
                "something other than Lambda answered a request about {function}{times}: {fault}"
            ),
            (Got::Nowhere, _) => {
                format!("a request about {function} could not be sent to Lambda: {fault}")
            }
            (Got::NoAnswer, _) => {
                format!("Lambda gave no answer about {function}{times}: {fault}")
            }
            (Got::Refused, Verdict::Later) => {
                format!("Lambda did not run {function}{times}: {fault}")
            }
            (Got::Refused, Verdict::Unclear) => {
                format!("Lambda failed to run {function}{times}: {fault}")
            }
            (Got::Refused, Verdict::Never) => format!("Lambda refuses to run {function}: {fault}"),
        };
        let mut death = Death::new(match self.advice() {
            Some(advice) => format!("{what}; {advice}"),
            None => what,
        });
        death.kind = self.kind();
        death.stopped_reason = match (&fault.code, &self.throttle) {
            (Some(code), Some(limit)) => Some(format!("{code}: {limit}")),
            (code, _) => code.clone(),
        };
        death
    }

    fn kind(&self) -> BootFailureKind {
        let concurrency = |limit: &String| limit.contains("ConcurrentInvocationLimit");
        match (self.sort(), self.verdict()) {
            (Sort::Quota, _) => BootFailureKind::Quota,
            (_, Verdict::Never) => BootFailureKind::Refused,
            (_, Verdict::Unclear) => BootFailureKind::Unavailable,
            (_, Verdict::Later) if self.throttle.as_ref().is_some_and(concurrency) => {
                BootFailureKind::Quota
            }
            (Sort::Throttled, _) => BootFailureKind::Throttled,
            (_, Verdict::Later) => match Class::of(&self.fault) {
                Class::Throttled => BootFailureKind::Throttled,
                _ => BootFailureKind::Unavailable,
            },
        }
    }

    fn advice(&self) -> Option<&'static str> {
        let code = self.fault.code.as_deref().unwrap_or_default();
        let code = match self.sort() {
            Sort::Throttled if code != "TooManyRequestsException" => "EC2ThrottledException",
            _ => code,
        };
        // A limit that is not known is still a throttle.
        let by_limit = self.throttle.as_deref().and_then(throttled);
        by_limit.or_else(|| row(code).map(|row| row.advice)).or_else(|| class::advice(&self.fault))
    }
}

fn throttled(limit: &str) -> Option<&'static str> {
    Some(match limit {
        "ConcurrentInvocationLimitExceeded" => {
            "the account's concurrency is used up: lower the pool's `max`, give the function \
             reserved concurrency, or have the quota raised"
        }
        "ReservedFunctionConcurrentInvocationLimitExceeded" => {
            "the function's reserved concurrency is used up: raise it to the pool's `max` or above; \
             0 switches a function off"
        }
        "CallerRateLimitExceeded" => {
            "this account makes too many requests to Lambda's API: boot fewer runners at a time"
        }
        "FunctionInvocationRateLimitExceeded" | "ReservedFunctionInvocationRateLimitExceeded" => {
            "the function is invoked too often for its concurrency (ten times as many a second): \
             let runners live longer by `idle_shutdown_after`"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
