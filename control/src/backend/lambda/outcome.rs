//! What the answers of a function mean: pure.
//!
//! ```text
//! Reply  ── 200, and our Answer ──▶ Ended: how the runner ended         FunctionError ──▶ Ended: why it died
//!        ── 200, a spent token ──▶ Elsewhere: another invocation is it  202 ──▶ Accepted
//! ```

use flame_runner_shim::exit_code::EXIT_NEVER_CONNECTED;
use flame_runner_shim::host::lambda::InvocationResponse;
use flame_wire::hello::Refusal as Unwanted;
use flame_wire::message::EndReason;
use serde::Deserialize;

use super::super::aws::fault::{excerpt, without_token};
use super::function::RAISE_TIMEOUT;
use crate::backend::Death;
use crate::error::BootFailureKind;

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
        match serde_json::from_slice::<InvocationResponse>(&self.payload) {
            Ok(InvocationResponse::Refused { refusal: Unwanted::UsedToken }) => Meaning::Elsewhere,
            Ok(answer) => Meaning::Ended(ended(&answer, &request)),
            Err(_) => Meaning::Ended(self.strange(function, &request)),
        }
    }

    fn failed(&self, function: &str, mode: &str, request: &str) -> Death {
        let FunctionError { error_type, error_message } =
            serde_json::from_slice(&self.payload).unwrap_or_default();
        let (kind, advice) = match function_failure(&error_type, &error_message) {
            Some((kind, advice)) => (kind, Some(advice)),
            None => (BootFailureKind::Died, None),
        };
        let what = if error_message.is_empty() { &error_type } else { &error_message };
        // What the function says may hold its event.
        let mut reason = format!("{function} failed{request}: {}", without_token(what));
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
        let shown = excerpt(&self.payload);
        let whose = match self.request_id {
            Some(_) => "",
            None => {
                "; since it has no request id it may not even be Lambda's: look at AWS_ENDPOINT_URL \
                 and at proxies"
            }
        };
        let mut death = Death::new(format!(
            "{function} gave an answer that is no runner's{request}: {shown}; it is not a build of \
             this app, or FLAME_RUNNER=lambda is missing in its environment{whose}"
        ));
        death.kind = BootFailureKind::Refused;
        death.log_tail = self.log.clone();
        death
    }
}

/// A way in which a function fails: by the name of the error, which a phrase at its end may leave open
/// (`Extension.`), or by words of its message.
struct Failing {
    name: &'static str,
    says: &'static [&'static str],
    kind: BootFailureKind,
    advice: &'static str,
}

const NOT_STARTED: &str =
    "it could not be started: look at its image or `bootstrap`, and its architecture";
const MEMORY: &str = "it was killed, as for want of memory: give the function more memory, or a \
                      runner fewer calls at a time";
const LAMBDAS_OWN: &str = "this is a fault of Lambda's own: call again; where it stays so, raise the \
                           function's memory, and ask AWS";

/// The names that Lambda itself has for failures, by which the errors of a function are told from them
/// (AWS documentation, "Telemetry API Event schema reference", and "Troubleshoot invocation issues";
/// second-hand). The order counts: words first, for they say more than some names, and a name that is
/// whole before one that is open.
const FAILURES: &[Failing] = &[
    Failing {
        name: "",
        says: &["Task timed out"],
        kind: BootFailureKind::TimedOut,
        advice: "Lambda has ended it at its timeout: see what keeps its `main` from `App::run`, or a \
                 function from yielding, or raise the function's `Timeout`; a function without \
                 FLAME_RUNNER=lambda does not serve at all",
    },
    Failing {
        name: "Sandbox.Timedout",
        says: &[],
        kind: BootFailureKind::TimedOut,
        advice: "Lambda has ended it at its timeout: see what keeps its `main` from `App::run`, or a \
                 function from yielding, or raise the function's `Timeout`",
    },
    Failing {
        name: "Runtime.OutOfMemory",
        says: &["signal: killed"],
        kind: BootFailureKind::Died,
        advice: MEMORY,
    },
    Failing {
        name: "Runtime.ExitError",
        says: &[],
        kind: BootFailureKind::Died,
        advice: "see what it printed; a process that ends without a word may lack \
                 FLAME_RUNNER=lambda, and be no runner",
    },
    // Lambda says so of an initialisation, or a restore, that took too long.
    Failing {
        name: "Runtime.Unknown",
        says: &[],
        kind: BootFailureKind::Died,
        advice: "its initialisation, or the restore of its snapshot, may have taken longer than the \
                 10 s that Lambda gives it: see what its `main` does before `App::run`",
    },
    Failing { name: "Runtime.", says: &[], kind: BootFailureKind::Refused, advice: NOT_STARTED },
    Failing {
        name: "Extension.",
        says: &[],
        kind: BootFailureKind::Refused,
        advice: "an extension of the function failed, not the app: see the function's log, and \
                 mend or remove the layer that brings the extension",
    },
    Failing {
        name: "Sandbox.",
        says: &[],
        kind: BootFailureKind::Unavailable,
        advice: LAMBDAS_OWN,
    },
    Failing {
        name: "Function.ResponseSizeTooLarge",
        says: &[],
        kind: BootFailureKind::Refused,
        advice: "a runner's answer has a few hundred bytes, so this is not this app, or not as a \
                 runner: look at the function's code, and at FLAME_RUNNER=lambda",
    },
    Failing {
        name: "Function.",
        says: &[],
        kind: BootFailureKind::Refused,
        advice: "Lambda did not let the function go on: see the function's log and configuration",
    },
];

/// Of what kind a failure is, and what to do; none where the runner itself says it.
fn function_failure(name: &str, message: &str) -> Option<(BootFailureKind, &'static str)> {
    if name.starts_with("Flame.") {
        return None;
    }
    let fits = |row: &&Failing| {
        let named = match row.name {
            "" => false,
            open if open.ends_with('.') => name.starts_with(open),
            whole => name == whole,
        };
        named || row.says.iter().any(|words| message.contains(words))
    };
    Some(match FAILURES.iter().find(fits) {
        Some(row) => (row.kind, row.advice),
        None => (
            BootFailureKind::Died,
            "is it a build of this app, with FLAME_RUNNER=lambda in its environment?",
        ),
    })
}

fn ended(answer: &InvocationResponse, request: &str) -> Death {
    let (code, advice) = match answer {
        InvocationResponse::Ended { code: EXIT_NEVER_CONNECTED, .. } => (
            Some(EXIT_NEVER_CONNECTED),
            "; the function must reach the pool's address: put it into the parent's VPC, and let \
             its security group through to the parent's port"
                .to_owned(),
        ),
        InvocationResponse::Ended { code, reason: EndReason::HostDeadline, calls: 0, .. } => {
            (Some(*code), format!("; it had no time to serve: {RAISE_TIMEOUT}"))
        }
        InvocationResponse::Ended { code, .. } => (Some(*code), String::new()),
        InvocationResponse::Refused { .. } | InvocationResponse::NotSynced { .. } => {
            (None, String::new())
        }
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
