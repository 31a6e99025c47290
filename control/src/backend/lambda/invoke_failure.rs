//! Classifies an Invoke that Lambda rejects, or to which it does not respond: pure.
//!
//! ```text
//! InvokeFailure ─▶ Retry: not carried out    Ambiguous: may be carried out    GiveUp: permanent
//! ```

use super::super::aws::api_error::{ApiError, ApiErrorKind};
use super::super::aws::error_class::{self, ErrorClass};
use super::super::aws::phrases;
use crate::backend::{BootFailureKind, Death};

mod rules;

use rules::{ErrorCategory, advice_on_limit, rule};

/// A request that Lambda rejected, or did not respond to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvokeFailure {
    pub(super) error: ApiError,
    /// The limit that throttled the request, as Lambda names it.
    pub(super) throttle: Option<String>,
}

/// Whether to retry a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// The function was not invoked: retry later.
    Retry,
    /// The function may have been invoked.
    Ambiguous,
    /// The failure is permanent.
    GiveUp,
}

impl InvokeFailure {
    /// The category of the error code.
    fn category(&self) -> ErrorCategory {
        let code = self.error.code.as_deref().unwrap_or_default();
        match rule(code).map_or(ErrorCategory::ByStatus, |rule| rule.category) {
            // An error about the network may report EC2's throttling.
            ErrorCategory::Permanent
                if phrases::contains_any(&self.error.message, phrases::THROTTLED) =>
            {
                ErrorCategory::Throttled
            }
            category => category,
        }
    }

    pub(super) fn retry_decision(&self) -> RetryDecision {
        match (self.category(), ErrorClass::of(&self.error)) {
            (ErrorCategory::Passing | ErrorCategory::Throttled, _) => RetryDecision::Retry,
            (ErrorCategory::Permanent | ErrorCategory::Quota, _) => RetryDecision::GiveUp,
            (ErrorCategory::ByStatus, ErrorClass::Throttled | ErrorClass::Capacity) => {
                RetryDecision::Retry
            }
            // An internal error does not say whether the function had been invoked.
            (ErrorCategory::ByStatus, ErrorClass::Transient) => RetryDecision::Ambiguous,
            (
                ErrorCategory::ByStatus,
                ErrorClass::Quota | ErrorClass::Conflict | ErrorClass::Misconfigured,
            ) => RetryDecision::GiveUp,
        }
    }

    /// Why the function can't be invoked, and what to do, after so many `attempts`.
    pub(super) fn death(&self, function: &str, attempts: u32) -> Death {
        let times = if attempts > 1 { format!(", {attempts} times") } else { String::new() };
        let error = &self.error;
        let what = match (error.kind, self.retry_decision()) {
            (ApiErrorKind::Foreign, _) => format!(
                "something other than Lambda responded to a request for {function}{times}: {error}"
            ),
            (ApiErrorKind::NotSent, _) => {
                format!("a request for {function} could not be sent to Lambda: {error}")
            }
            (ApiErrorKind::NoResponse, _) => {
                format!("Lambda did not respond to a request for {function}{times}: {error}")
            }
            (ApiErrorKind::Rejected, RetryDecision::Retry) => {
                format!("Lambda did not run {function}{times}: {error}")
            }
            (ApiErrorKind::Rejected, RetryDecision::Ambiguous) => {
                format!("Lambda failed to run {function}{times}: {error}")
            }
            (ApiErrorKind::Rejected, RetryDecision::GiveUp) => {
                format!("Lambda rejected a request for {function}: {error}")
            }
        };
        let mut death = Death::new(match self.advice() {
            Some(advice) => format!("{what}; {advice}"),
            None => what,
        });
        death.kind = self.kind();
        death.stopped_reason = match (&error.code, &self.throttle) {
            (Some(code), Some(limit)) => Some(format!("{code}: {limit}")),
            (code, _) => code.clone(),
        };
        death
    }

    fn kind(&self) -> BootFailureKind {
        let concurrency = |limit: &String| limit.contains("ConcurrentInvocationLimit");
        match (self.category(), self.retry_decision()) {
            (ErrorCategory::Quota, _) => BootFailureKind::Quota,
            (_, RetryDecision::GiveUp) => BootFailureKind::Misconfigured,
            (_, RetryDecision::Ambiguous) => BootFailureKind::Unavailable,
            (_, RetryDecision::Retry) if self.throttle.as_ref().is_some_and(concurrency) => {
                BootFailureKind::Quota
            }
            (ErrorCategory::Throttled, _) => BootFailureKind::Throttled,
            (_, RetryDecision::Retry) => match ErrorClass::of(&self.error) {
                ErrorClass::Throttled => BootFailureKind::Throttled,
                _ => BootFailureKind::Unavailable,
            },
        }
    }

    fn advice(&self) -> Option<&'static str> {
        let code = self.error.code.as_deref().unwrap_or_default();
        let code = match self.category() {
            ErrorCategory::Throttled if code != "TooManyRequestsException" => {
                "EC2ThrottledException"
            }
            _ => code,
        };
        // An unknown limit still has the general advice on throttling.
        let by_limit = self.throttle.as_deref().and_then(advice_on_limit);
        by_limit
            .or_else(|| rule(code).map(|rule| rule.advice))
            .or_else(|| error_class::advice(&self.error))
    }
}

#[cfg(test)]
mod tests;
