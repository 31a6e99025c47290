//! The meaning of a function's responses: pure.
//!
//! ```text
//! InvokeResponse ── 200, and the InvocationResponse ─▶ Ended: how the runner ended
//!                ── FunctionError ───────▶ Ended: why the function failed
//!                ── 200, a used token ───▶ DuplicateRejected: another invocation is the runner
//!                ── 202 ─────────────────▶ Queued
//! ```

use flame_runner_shim::exit_code::EXIT_NEVER_CONNECTED;
use flame_runner_shim::host::lambda::InvocationResponse;
use flame_wire::hello::Rejection as RejectReason;
use flame_wire::message::EndReason;
use serde::Deserialize;

use super::super::aws::api_error::{excerpt, without_token};
use super::function::RAISE_TIMEOUT;
use crate::backend::{BootFailureKind, Death};

mod function_failure;

use function_failure::function_failure;

/// A response of Invoke with a status in the 200 range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvokeResponse {
    /// 200 for an invocation that has ended, 202 for an event that was queued.
    pub(super) status: u16,
    /// `Unhandled`, if the function failed.
    pub(super) function_error: Option<String>,
    pub(super) payload: Vec<u8>,
    /// The last 4 KB of the log: what the function printed, and Lambda's own lines.
    pub(super) log: Vec<String>,
    pub(super) request_id: Option<String>,
}

/// The meaning of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InvokeOutcome {
    /// The invocation has ended.
    Ended(Death),
    /// Another invocation with the same token is the runner. No response reports its end.
    DuplicateRejected,
    /// The event is queued for its invocation.
    Queued,
}

impl InvokeResponse {
    /// The meaning of the response. `function` is for messages.
    pub(super) fn outcome(&self, function: &str) -> InvokeOutcome {
        if self.status == 202 {
            return InvokeOutcome::Queued;
        }
        let request = match &self.request_id {
            Some(id) => format!(" (request {id})"),
            None => String::new(),
        };
        if let Some(mode) = &self.function_error {
            return InvokeOutcome::Ended(self.failed(function, mode, &request));
        }
        match serde_json::from_slice::<InvocationResponse>(&self.payload) {
            Ok(InvocationResponse::Rejected { rejection: RejectReason::UsedToken }) => {
                InvokeOutcome::DuplicateRejected
            }
            Ok(answer) => InvokeOutcome::Ended(ended(&answer, &request)),
            Err(_) => InvokeOutcome::Ended(self.unexpected(function, &request)),
        }
    }

    fn failed(&self, function: &str, mode: &str, request: &str) -> Death {
        let FunctionError { error_type, error_message } =
            serde_json::from_slice(&self.payload).unwrap_or_default();
        let (kind, advice) = match function_failure(&error_type, &error_message) {
            Some((kind, advice)) => (kind, Some(advice)),
            None => (BootFailureKind::Died, None),
        };
        let message = if error_message.is_empty() { &error_type } else { &error_message };
        // The message may contain the event.
        let mut reason = format!("{function} failed{request}: {}", without_token(message));
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

    fn unexpected(&self, function: &str, request: &str) -> Death {
        let excerpt = excerpt(&self.payload);
        let origin = match self.request_id {
            Some(_) => "",
            None => {
                "; since the response has no request id, it may not have come from Lambda: check \
                 AWS_ENDPOINT_URL and proxies"
            }
        };
        let mut death = Death::new(format!(
            "{function} gave a response that is not a runner's{request}: {excerpt}; the function is \
             not a build of this app, or its environment lacks FLAME_RUNNER=lambda{origin}"
        ));
        death.kind = BootFailureKind::Misconfigured;
        death.log_tail = self.log.clone();
        death
    }
}

fn ended(answer: &InvocationResponse, request: &str) -> Death {
    let (code, advice) = match answer {
        InvocationResponse::Ended { code: EXIT_NEVER_CONNECTED, .. } => (
            Some(EXIT_NEVER_CONNECTED),
            "; the function must reach the pool's address: attach it to the VPC of the parent, or \
             of its relay, and allow its security group on the port there; a parent that the \
             function can't reach needs a relay (`.relay(..)`)"
                .to_owned(),
        ),
        InvocationResponse::Ended { code, reason: EndReason::HostDeadline, calls: 0, .. } => {
            (Some(*code), format!("; the runner had no time to serve: {RAISE_TIMEOUT}"))
        }
        InvocationResponse::Ended { code, .. } => (Some(*code), String::new()),
        InvocationResponse::Rejected { .. } | InvocationResponse::NotSynced { .. } => {
            (None, String::new())
        }
    };
    let mut death = Death::new(format!("{answer}{request}{advice}"));
    death.exit_code = code;
    death
}

/// The payload of a response for a function that failed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FunctionError {
    error_type: String,
    error_message: String,
}

/// The exit code in `RequestId: .. Error: Runtime exited with error: exit status 7`.
fn exit_code(message: &str) -> Option<i32> {
    let (_, rest) = message.split_once("exit status ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
