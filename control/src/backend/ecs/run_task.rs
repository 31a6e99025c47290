//! Starting one task: RunTask is called until there is a task, none can be started, or time is up.
//!
//! ```text
//!            ┌──────── throttled, or no response: the SAME token ──────────┐
//!            ▼                                                             │ delay
//!   begin ─▶ RunTask ──▶ a task ──▶ Done                                   │
//!            ▲  ├──▶ no capacity: nothing was started, so the NEXT token ──┘
//!            │  ├──▶ conflict, or giving up while ambiguous ──▶ LookUp ──▶ Done, or Fail
//!            │  └──▶ misconfigured, denied, over quota, out of time ──▶ Fail
//! ```
//!
//! Invariants, which keep a boot from starting two tasks:
//! - A new token replaces the last one only after a response that says that nothing was started.
//! - After a request without a response the attempt is ambiguous: it may have started a task. An
//!   ambiguous attempt does not fail before the task was looked up.
//! - The attempt ends: RunTask is never called after the deadline, and every delay is longer than
//!   zero.

use std::time::{Duration, Instant};

use flame_wire::backoff::Backoff;

use super::classify::{self, PlacementFailure};
use crate::backend::aws::api_error::ApiError;
use crate::backend::aws::error_class::ErrorClass;
use crate::backend::{BootFailure, BootFailureKind};

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Call RunTask.
    RunTask {
        /// The number of the client token to use, from 0.
        token: u32,
    },
    /// Wait until then, and report [`Event::Waited`].
    Wait(Instant),
    /// Look up whether the attempt has started a task. Holds the ARNs of the tasks that are known
    /// to have its token, if any.
    LookUp(Vec<String>),
    /// The attempt has started this task.
    Done(String),
    /// The attempt has started no task.
    Fail(BootFailure),
}

/// The result of an action.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// RunTask started a task.
    Task(String),
    /// RunTask responded that it started no task.
    Failures(Vec<PlacementFailure>),
    /// RunTask failed. For a conflict, with the ARNs of the tasks that have the token.
    Error(ApiError, Vec<String>),
    /// RunTask was not called: the rate limiter gave this process no turn in time.
    RateLimited,
    /// The wait is over.
    Waited,
    /// The look-up found this task, or none.
    Found(Option<String>),
    /// The look-up failed.
    LookUpFailed(ApiError),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct RunTaskAttempt {
    deadline: Instant,
    backoff: Backoff,
    token: u32,
    failures: u32,
    /// A request had no response, so it may have started a task.
    ambiguous: bool,
    failure: Option<BootFailure>,
}

impl RunTaskAttempt {
    /// An attempt that never calls RunTask after `deadline`.
    pub(super) fn new(deadline: Instant, backoff: Backoff) -> Self {
        Self { deadline, backoff, token: 0, failures: 0, ambiguous: false, failure: None }
    }

    /// The first action.
    pub(super) fn begin(&self) -> Action {
        Action::RunTask { token: self.token }
    }

    /// The action after an event. `jitter` is in 0..1.
    pub(super) fn next(&mut self, now: Instant, event: Event, jitter: f64) -> Action {
        match event {
            Event::Task(arn) | Event::Found(Some(arn)) => Action::Done(arn),
            Event::Waited => Action::RunTask { token: self.token },
            Event::RateLimited => {
                let reason = "RunTask was not called in time: this process starts at most 20 tasks \
                              a second, Fargate's limit, and other boots were ahead; boot fewer \
                              runners at a time, or allow more time for a boot (`boot_timeout`)";
                self.failure
                    .get_or_insert_with(|| BootFailure::of(BootFailureKind::Throttled, reason));
                self.give_up()
            }
            Event::Failures(failures) => {
                // A response: this token has started nothing, even if an earlier request with it
                // was ambiguous. So the next token is safe.
                self.ambiguous = false;
                self.token = self.token.saturating_add(1);
                let first = failures.first().cloned().unwrap_or_else(|| PlacementFailure {
                    reason: "the response has neither a task nor a failure".to_owned(),
                    ..PlacementFailure::default()
                });
                let class = classify::of_failure(&first);
                let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
                self.failure = Some(failure(
                    class,
                    format!(
                        "RunTask started no task: {}",
                        classify::advice_on_placement(class, &first)
                    ),
                    if texts.is_empty() { first.to_string() } else { texts.join("; ") },
                ));
                self.retry(now, class, None, jitter)
            }
            Event::Error(error, known) => {
                let class = classify::of_error(&error);
                let advice = classify::advice(class, &error);
                let reason = format!("RunTask failed: {advice}");
                self.failure = Some(failure(class, reason, error.to_string()));
                if class == ErrorClass::Conflict {
                    return Action::LookUp(known);
                }
                self.ambiguous |= class == ErrorClass::Transient;
                if class == ErrorClass::Capacity && !self.ambiguous {
                    self.token = self.token.saturating_add(1);
                }
                self.retry(now, class, error.retry_after, jitter)
            }
            Event::Found(None) => Action::Fail(self.take_failure()),
            Event::LookUpFailed(error) => {
                let mut failure = self.take_failure();
                failure.reason = format!(
                    "{}. RunTask may have started a task nevertheless, but the task could not be \
                     looked up ({error}); such a task is rejected when it connects, and ends by \
                     itself",
                    failure.reason
                );
                Action::Fail(failure)
            }
        }
    }

    /// Retries after a failure of this class, if that may help. `retry_after` is the delay that ECS
    /// asks for.
    fn retry(
        &mut self,
        now: Instant,
        class: ErrorClass,
        retry_after: Option<Duration>,
        jitter: f64,
    ) -> Action {
        self.failures = self.failures.saturating_add(1);
        let delay = self.backoff.pause(self.failures, jitter).max(retry_after.unwrap_or_default());
        let may_pass = match class {
            ErrorClass::Throttled | ErrorClass::Transient | ErrorClass::Capacity => true,
            ErrorClass::Quota | ErrorClass::Conflict | ErrorClass::Misconfigured => false,
        };
        match now.checked_add(delay).filter(|until| may_pass && *until < self.deadline) {
            Some(until) => Action::Wait(until),
            None => self.give_up(),
        }
    }

    fn give_up(&mut self) -> Action {
        match self.ambiguous {
            true => Action::LookUp(Vec::new()),
            false => Action::Fail(self.take_failure()),
        }
    }

    fn take_failure(&mut self) -> BootFailure {
        self.failure.take().unwrap_or_else(|| BootFailure::new("RunTask was not called"))
    }
}

fn failure(class: ErrorClass, reason: String, text: String) -> BootFailure {
    BootFailure { stopped_reason: Some(text), ..BootFailure::of(class.into(), reason) }
}

#[cfg(test)]
mod tests;
