//! The ledger of a storm: every call, what its answer claims, and whether the claim is true.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use flame_aws::{CallError, TimeoutPhase};

use crate::report::{Column, Section};

/// The claim of an answer about the executions of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Executed {
    Once,
    AtMostOnce,
    Never,
}

/// Returns what an error claims according to the README, and a name for the error. Returns `None`
/// for errors that no storm can cause.
pub(crate) fn claim_of(error: &CallError) -> Option<(Executed, &'static str)> {
    Some(match error {
        CallError::Timeout { phase: TimeoutPhase::Queue, .. } => {
            (Executed::Never, "timeout in the queue")
        }
        CallError::Timeout { phase: TimeoutPhase::Boot, .. } => {
            (Executed::Never, "timeout of the boot")
        }
        CallError::Timeout { phase: TimeoutPhase::Run, .. } => {
            (Executed::AtMostOnce, "timeout of the run")
        }
        CallError::Timeout { phase: TimeoutPhase::Reply, .. } => {
            (Executed::Once, "timeout of the reply")
        }
        CallError::RunnerLost { started: false, .. } => {
            (Executed::Never, "runner lost, not started")
        }
        CallError::RunnerLost { started: true, .. } => {
            (Executed::AtMostOnce, "runner lost, started")
        }
        CallError::BootFailed(_) => (Executed::Never, "boot failed"),
        CallError::Panicked { .. } => (Executed::Once, "panicked"),
        CallError::Cancelled => (Executed::AtMostOnce, "cancelled"),
        _ => return None,
    })
}

/// All calls of a storm by their numbers, and every count of the report.
#[derive(Debug, Default)]
pub(crate) struct CallLedger(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    /// The claim of each call's answer, once there is an answer.
    claims: Vec<Option<Executed>>,
    column: Column,
    violations: Vec<String>,
}

impl CallLedger {
    /// How many violations are described. The others are only counted.
    const DESCRIBED: usize = 20;

    /// Enters a new call, and returns its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut records = self.lock();
        records.claims.push(None);
        records.claims.len() as u64 - 1
    }

    /// Enters the answer of a call.
    pub(crate) fn answered(&self, call: u64, claim: Executed, answer: &str) {
        let index = usize::try_from(call).expect("fewer calls than addresses");
        if self.lock().claims[index].replace(claim).is_some() {
            self.violation(
                "answered more than once",
                &format!("call {call} has a second answer: {answer}"),
            );
        }
        self.count(Section::Answers, answer, 1);
    }

    /// Enters something that must never happen.
    pub(crate) fn violation(&self, kind: &str, details: &str) {
        self.count(Section::Violations, kind, 1);
        let mut records = self.lock();
        if records.violations.len() <= Self::DESCRIBED {
            records.violations.push(format!("{kind}: {details}"));
        }
    }

    pub(crate) fn count(&self, section: Section, name: &str, more: u64) {
        self.lock().column.add(section, name, more);
    }

    /// Compares the claims with the executions, once no call is under way any more.
    pub(crate) fn verify(&self, executions: &[(u64, u32)]) {
        let mut times = BTreeMap::<u64, u64>::new();
        for (call, _) in executions {
            *times.entry(*call).or_default() += 1;
        }
        let claims = self.lock().claims.clone();
        self.count(Section::Calls, "calls", claims.len() as u64);
        self.count(Section::Calls, "answered", claims.iter().flatten().count() as u64);
        self.count(Section::Calls, "executed", times.len() as u64);
        // These rows are in the report even if they count nothing.
        for kind in [
            "never answered",
            "answered more than once",
            "executed more than once",
            "executed, against its answer",
            "not executed, against its answer",
            "wrong result",
        ] {
            self.count(Section::Violations, kind, 0);
        }
        for (call, claim) in (0..).zip(claims) {
            let times = times.remove(&call).unwrap_or(0);
            let details = format!("call {call}, executed {times} times");
            match claim {
                None => self.violation("never answered", &details),
                Some(_) if times > 1 => self.violation("executed more than once", &details),
                Some(Executed::Never) if times > 0 => {
                    self.violation("executed, against its answer", &details);
                }
                Some(Executed::Once) if times == 0 => {
                    self.violation("not executed, against its answer", &details);
                }
                Some(_) => {}
            }
        }
        if !times.is_empty() {
            self.violation("executed without a call", &format!("{times:?}"));
        }
    }

    /// Describes the violations; empty if there are none.
    pub(crate) fn violations(&self) -> String {
        self.lock().violations.join("\n")
    }

    pub(crate) fn column(&self) -> Column {
        self.lock().column.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().expect("nothing panics with the lock")
    }
}
