//! One order of a task: asked for until it is there, or can't be, or time is up.
//!
//! ```text
//!            ┌────────── throttled, or no answer: the SAME token ──────────┐
//!            ▼                                                             │ pause
//!   begin ─▶ Ask ──▶ a task ──▶ Done                                       │
//!            ▲  ├──▶ no room: nothing was started, so the NEXT token ──────┘
//!            │  ├──▶ conflict, or given up in doubt ──▶ LookUp ──▶ Done, or Fail
//!            │  └──▶ wrong, not allowed, quota, out of time ──▶ Fail
//! ```
//!
//! Invariants, which keep a boot from making two tasks:
//! - A token is given up for another only after an answer that says that it started nothing.
//! - After a request without an answer the order is in doubt. It does not fail in doubt: the task
//!   is looked up first.
//! - It ends: nothing is asked for after the deadline, and each pause is longer than nothing.

use std::time::{Duration, Instant};

use super::classify::{self, Failure};
use crate::backend::aws::class::Class;
use crate::backend::aws::fault::Fault;
use crate::backend::aws::pace::Pace;
use crate::backend::{BootFailure, BootFailureKind};

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Call RunTask, with the token of that try.
    Ask {
        /// Counts the tokens, from 0.
        token: u32,
    },
    /// Ask again then.
    Wait(Instant),
    /// Look whether there is a task of this order; the ARNs that are known to have its token.
    LookUp(Vec<String>),
    /// This is the task.
    Done(String),
    /// There is none.
    Fail(BootFailure),
}

/// What came of it.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    /// RunTask gave a task.
    Task(String),
    /// RunTask gave none.
    Failures(Vec<Failure>),
    /// RunTask failed; what a conflict says of who has the token.
    Fault(Fault, Vec<String>),
    /// RunTask was not called: this process had no turn in the order's time.
    NoTurn,
    /// The pause is over.
    Waited,
    /// What looking up has found.
    Found(Option<String>),
    /// Looking up has failed.
    LookUpFailed(Fault),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Order {
    deadline: Instant,
    pace: Pace,
    token: u32,
    failed: u32,
    in_doubt: bool,
    why: Option<BootFailure>,
}

impl Order {
    /// One for which nothing is asked after `deadline`.
    pub(super) fn new(deadline: Instant, pace: Pace) -> Self {
        Self { deadline, pace, token: 0, failed: 0, in_doubt: false, why: None }
    }

    /// The first step.
    pub(super) fn begin(&self) -> Step {
        Step::Ask { token: self.token }
    }

    /// The step after that; `share`, in 0..1, is the jitter of pauses.
    pub(super) fn next(&mut self, now: Instant, heard: Heard, share: f64) -> Step {
        match heard {
            Heard::Task(arn) | Heard::Found(Some(arn)) => Step::Done(arn),
            Heard::Waited => Step::Ask { token: self.token },
            Heard::NoTurn => {
                let reason = "RunTask was not called in the time that the boot has for it: this \
                              process orders tasks at the rate that Fargate takes, 20 a second, \
                              and others were first; boot fewer at a time, or give the boot more \
                              time (`boot_timeout`)";
                self.why.get_or_insert_with(|| BootFailure::of(BootFailureKind::Throttled, reason));
                self.give_up()
            }
            Heard::Failures(failures) => {
                // An answer: this token has started nothing, whatever was in doubt before, and the
                // order is free for another one.
                self.in_doubt = false;
                self.token = self.token.saturating_add(1);
                let first = failures.first().cloned().unwrap_or_else(|| Failure {
                    reason: "neither a task nor a reason why there is none".to_owned(),
                    ..Failure::default()
                });
                let class = classify::of_failure(&first);
                let said: Vec<_> = failures.iter().map(ToString::to_string).collect();
                self.why = Some(failure(
                    class,
                    format!("RunTask started no task: {}", classify::advice_on_failure(class)),
                    if said.is_empty() { first.to_string() } else { said.join("; ") },
                ));
                self.after(now, class, None, share)
            }
            Heard::Fault(fault, known) => {
                let class = classify::of_fault(&fault);
                let advice = classify::advice(class, &fault);
                let reason = format!("RunTask failed: {advice}");
                self.why = Some(failure(class, reason, fault.to_string()));
                if class == Class::Conflict {
                    return Step::LookUp(known);
                }
                self.in_doubt |= class == Class::Transient;
                if class == Class::Capacity && !self.in_doubt {
                    self.token = self.token.saturating_add(1);
                }
                self.after(now, class, fault.retry_after, share)
            }
            Heard::Found(None) => Step::Fail(self.reason()),
            Heard::LookUpFailed(fault) => {
                let mut why = self.reason();
                why.reason = format!(
                    "{}. Whether it started a task all the same could not be found out ({fault}): \
                     a task that nobody waits for is refused by its parent, and ends by itself",
                    why.reason
                );
                Step::Fail(why)
            }
        }
    }

    /// The step after an answer of this class; ECS may have said how long it is to be left alone.
    fn after(&mut self, now: Instant, class: Class, alone: Option<Duration>, share: f64) -> Step {
        self.failed = self.failed.saturating_add(1);
        let pause = self.pace.pause(self.failed, share).max(alone.unwrap_or_default());
        let may = match class {
            Class::Throttled | Class::Transient | Class::Capacity => true,
            Class::Quota | Class::Conflict | Class::Config => false,
        };
        match now.checked_add(pause).filter(|again| may && *again < self.deadline) {
            Some(again) => Step::Wait(again),
            None => self.give_up(),
        }
    }

    fn give_up(&mut self) -> Step {
        if self.in_doubt { Step::LookUp(Vec::new()) } else { Step::Fail(self.reason()) }
    }

    fn reason(&mut self) -> BootFailure {
        self.why.take().unwrap_or_else(|| BootFailure::new("RunTask was not called"))
    }
}

fn failure(class: Class, reason: String, said: String) -> BootFailure {
    BootFailure { stopped_reason: Some(said), ..BootFailure::of(class.into(), reason) }
}

#[cfg(test)]
mod tests;
