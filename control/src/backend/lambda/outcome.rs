//! What Lambda's answers mean: pure, and the place for every sentence about them.
//!
//! ```text
//! Reply  ── 200, and our Answer ──▶ Ended: how the runner ended         FunctionError ──▶ Ended: why it died
//!        ── 200, a spent token ──▶ Elsewhere: another invocation is it  202 ──▶ Accepted
//! Refusal ─▶ Later: not carried out, try again    Unclear: perhaps carried out    Never: for a person
//! ```

use flame_runner_shim::host::lambda::Answer;
use flame_runner_shim::terminator::EXIT_NEVER_CONNECTED;
use flame_wire::hello::Refusal as Unwanted;
use flame_wire::message::EndReason;
use serde::Deserialize;

use super::super::aws::class::{Class, advice};
use super::super::aws::fault::{Fault, Got};
use crate::backend::Death;
use crate::error::BootFailureKind;

/// How much of an answer that can't be read is shown, in characters.
const SHOWN: usize = 200;

/// An answer of Invoke with a status in the 200 range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200 of an invocation that has ended, 202 of an event that was taken.
    pub(super) status: u16,
    /// `Unhandled`, where the function failed.
    pub(super) function_error: Option<String>,
    pub(super) payload: Vec<u8>,
    /// The last 4 KB that the function printed, and Lambda's own lines among it.
    pub(super) log: Vec<String>,
    pub(super) request_id: Option<String>,
}

/// What a reply means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The invocation is over.
    Ended(Death),
    /// Another invocation with the same token is the runner, and nothing tells of its end.
    Elsewhere,
    /// The event waits for its invocation.
    Accepted,
}

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

/// Not carried out, and over by itself (AWS documentation, Invoke, Errors).
const PASSING: &[&str] = &[
    "CodeArtifactUserPendingException",
    "EC2ThrottledException",
    "ENINotReadyException",
    "ResourceConflictException",
    "ResourceNotReadyException",
    "SnapStartNotReadyException",
    "TooManyRequestsException",
];

impl Refusal {
    pub(super) fn verdict(&self) -> Verdict {
        let code = self.fault.code.as_deref().unwrap_or_default();
        match Class::of(&self.fault) {
            _ if PASSING.contains(&code) => Verdict::Later,
            // By name, since Lambda gives 502 where a key or a subnet is wrong.
            _ if own_advice(code).is_some() => Verdict::Never,
            Class::Throttled | Class::Capacity => Verdict::Later,
            // Lambda's own trouble: whether it had begun is not said.
            Class::Transient => Verdict::Unclear,
            _ if self.fault.got == Got::NoAnswer => Verdict::Unclear,
            Class::Quota | Class::Conflict | Class::Config => Verdict::Never,
        }
    }

    /// Why the function can't be invoked, and what to do; `tried` is how often it was.
    pub(super) fn death(&self, function: &str, tried: u32) -> Death {
        let times = if tried > 1 { format!(", {tried} times") } else { String::new() };
        let what = match self.verdict() {
            Verdict::Later => format!("Lambda did not run {function}{times}: {}", self.fault),
            Verdict::Unclear => {
                format!("Lambda gave no answer about {function}{times}: {}", self.fault)
            }
            Verdict::Never => format!("Lambda refuses to run {function}: {}", self.fault),
        };
        let mut death = Death::new(match self.advice() {
            Some(advice) => format!("{what}; {advice}"),
            None => what,
        });
        death.kind = self.kind();
        death.stopped_reason = match (&self.fault.code, &self.throttle) {
            (Some(code), Some(limit)) => Some(format!("{code}: {limit}")),
            (code, _) => code.clone(),
        };
        death
    }

    fn kind(&self) -> BootFailureKind {
        let concurrency = |limit: &String| limit.contains("ConcurrentInvocationLimit");
        match self.verdict() {
            Verdict::Never => BootFailureKind::Refused,
            Verdict::Unclear => BootFailureKind::Unavailable,
            Verdict::Later if self.throttle.as_ref().is_some_and(concurrency) => {
                BootFailureKind::Quota
            }
            Verdict::Later => match Class::of(&self.fault) {
                Class::Throttled => BootFailureKind::Throttled,
                _ => BootFailureKind::Unavailable,
            },
        }
    }

    fn advice(&self) -> Option<&'static str> {
        if let Some(limit) = &self.throttle {
            return throttled(limit);
        }
        own_advice(self.fault.code.as_deref().unwrap_or_default()).or_else(|| advice(&self.fault))
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

fn own_advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "TooManyRequestsException" => {
            "it is throttled: lower the pool's `max`, or raise the concurrency of function or account"
        }
        "ResourceNotFoundException" => {
            "there is no such function, version or alias in this account and region: look at \
             FLAME_LAMBDA_FUNCTION, FLAME_LAMBDA_QUALIFIER and AWS_REGION"
        }
        "AccessDeniedException" => {
            "give the role of this process `lambda:InvokeFunction` on the function's ARN and on \
             that of its alias"
        }
        "RecursiveInvocationException" => {
            "Lambda has found functions that invoke each other in a circle and has stopped it: nest \
             calls less deep (`max_depth`), or allow it by the function's setting RecursiveLoop"
        }
        "RequestTooLargeException" | "SerializedRequestEntityTooLargeException" => {
            "a boot's event has less than 2 KB: something on the way to Lambda has a limit of its own"
        }
        "KMSAccessDeniedException" => {
            "give the function's execution role `kms:Decrypt` on the key of its environment"
        }
        "KMSDisabledException" | "KMSInvalidStateException" | "KMSNotFoundException" => {
            "the key that encrypts the function's environment is disabled or gone: enable it, or \
             give the function another"
        }
        "ResourceConflictException" | "ResourceNotReadyException" => {
            "the function is being deployed or woken up: wait until its state is Active"
        }
        "SnapStartException"
        | "SnapStartNotReadyException"
        | "SnapStartTimeoutException"
        | "SnapStartRegenerationFailureException" => {
            "switch SnapStart off for this function: a runner has nothing to restore"
        }
        "EC2AccessDeniedException" => {
            "give the function's execution role the permissions for its VPC \
             (AWSLambdaVPCAccessExecutionRole)"
        }
        "EC2ThrottledException"
        | "EC2UnexpectedException"
        | "ENILimitReachedException"
        | "ENINotReadyException"
        | "SubnetIPAddressLimitReachedException"
        | "InvalidSubnetIDException"
        | "InvalidSecurityGroupIDException" => {
            "Lambda can't place the function into its VPC: look at its subnets, their free \
             addresses, its security groups and the quota of network interfaces"
        }
        "InvalidRuntimeException" | "InvalidZipFileException" | "NoPublishedVersionException" => {
            "deploy the function anew: an image, or a zip with a `bootstrap` for provided.al2023"
        }
        "ModeNotSupportedException" => {
            "use an ordinary function: not a durable one, and none on a capacity provider"
        }
        _ => return None,
    })
}

impl Reply {
    /// What it means, about this function.
    pub(super) fn meaning(&self, function: &str) -> Meaning {
        if self.status == 202 {
            return Meaning::Accepted;
        }
        let request = match &self.request_id {
            Some(id) => format!(" (request {id})"),
            None => String::new(),
        };
        if let Some(mode) = &self.function_error {
            return Meaning::Ended(self.failed(function, mode, &request));
        }
        match serde_json::from_slice::<Answer>(&self.payload) {
            Ok(Answer::Refused { refusal: Unwanted::UsedToken }) => Meaning::Elsewhere,
            Ok(answer) => Meaning::Ended(ended(&answer, &request)),
            Err(_) => Meaning::Ended(self.strange(function, &request)),
        }
    }

    fn failed(&self, function: &str, mode: &str, request: &str) -> Death {
        let FunctionError { error_type, error_message } =
            serde_json::from_slice(&self.payload).unwrap_or_default();
        let mut kind = BootFailureKind::Died;
        let advice = if error_type.starts_with("Flame.") {
            None
        } else if error_message.contains("Task timed out") {
            kind = BootFailureKind::TimedOut;
            Some(
                "Lambda has ended it: raise the function's timeout (900 s at most), and see what \
                 keeps its `main` from `App::run`, or a function from yielding; a function without \
                 FLAME_RUNNER=lambda does not serve at all",
            )
        } else if error_message.contains("signal: killed") {
            Some("it was killed, as for want of memory: give the function more")
        } else if error_type == "Runtime.ExitError" {
            Some(
                "see what it printed; a process that ends without a word may lack \
                 FLAME_RUNNER=lambda, and be no runner",
            )
        } else if error_type.starts_with("Runtime.") {
            kind = BootFailureKind::Refused;
            Some("it could not be started: look at its image or `bootstrap`, and its architecture")
        } else {
            Some("is it a build of this app, with FLAME_RUNNER=lambda in its environment?")
        };
        let what = if error_message.is_empty() { &error_type } else { &error_message };
        let mut reason = format!("{function} failed{request}: {what}");
        if let Some(advice) = advice {
            reason = format!("{reason}; {advice}");
        }
        Death {
            kind,
            stopped_reason: Some(match error_type.as_str() {
                "" => mode.to_owned(),
                error_type => format!("{mode}: {error_type}"),
            }),
            exit_code: exit_code(&error_message),
            log_tail: self.log.clone(),
            ..Death::new(reason)
        }
    }

    fn strange(&self, function: &str, request: &str) -> Death {
        let said = String::from_utf8_lossy(&self.payload);
        let shown: String = said.chars().take(SHOWN).collect();
        let mut death = Death::new(format!(
            "{function} gave an answer that is no runner's{request}: {shown}; it is not a build of \
             this app, or FLAME_RUNNER=lambda is missing in its environment"
        ));
        death.kind = BootFailureKind::Refused;
        death.log_tail = self.log.clone();
        death
    }
}

fn ended(answer: &Answer, request: &str) -> Death {
    let (code, advice) = match answer {
        Answer::Ended { code: EXIT_NEVER_CONNECTED, .. } => (
            Some(EXIT_NEVER_CONNECTED),
            "; the function must reach the pool's address: put it into the parent's VPC, and let \
             its security group through to the parent's port",
        ),
        Answer::Ended { code, reason: EndReason::HostDeadline, calls: 0, .. } => (
            Some(*code),
            "; it had no time to serve: set the function's timeout to 900 s, which costs nothing",
        ),
        Answer::Ended { code, .. } => (Some(*code), ""),
        Answer::Refused { .. } | Answer::NotSynced { .. } => (None, ""),
    };
    let mut death = Death::new(format!("{answer}{request}{advice}"));
    death.exit_code = code;
    death
}

/// What Lambda puts into the answer of a function that has failed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FunctionError {
    error_type: String,
    error_message: String,
}

/// Of `RequestId: .. Error: Runtime exited with error: exit status 7`.
fn exit_code(message: &str) -> Option<i32> {
    let (_, rest) = message.split_once("exit status ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
