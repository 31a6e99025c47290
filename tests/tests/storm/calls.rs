//! Every call of a storm: what was said of it, and whether that is true.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use flame_aws::{CallError, TimeoutPhase};

use crate::report::{Column, Part};

/// What an answer says of the call's executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    Once,
    AtMostOnce,
    Never,
}

/// What an error says of it, as the README has it, and the error's name; `None` for errors that
/// nothing in a storm can cause.
pub(crate) fn ran(error: &CallError) -> Option<(Ran, &'static str)> {
    Some(match error {
        CallError::Timeout { phase: TimeoutPhase::Queue, .. } => {
            (Ran::Never, "timeout in the queue")
        }
        CallError::Timeout { phase: TimeoutPhase::Boot, .. } => (Ran::Never, "timeout of the boot"),
        CallError::Timeout { phase: TimeoutPhase::Run, .. } => {
            (Ran::AtMostOnce, "timeout of the run")
        }
        CallError::Timeout { phase: TimeoutPhase::Reply, .. } => {
            (Ran::Once, "timeout of the reply")
        }
        CallError::RunnerLost { started: false, .. } => (Ran::Never, "runner lost, not started"),
        CallError::RunnerLost { started: true, .. } => (Ran::AtMostOnce, "runner lost, started"),
        CallError::BootFailed(_) => (Ran::Never, "boot failed"),
        CallError::Panicked { .. } => (Ran::Once, "panicked"),
        CallError::Cancelled => (Ran::AtMostOnce, "cancelled"),
        _ => return None,
    })
}

/// All calls of a storm, by their numbers, and all that is counted.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    /// What was said of each.
    said: Vec<Option<Ran>>,
    column: Column,
    wrongs: Vec<String>,
}

impl Calls {
    /// So many of what is wrong are told in words.
    const TOLD: usize = 20;

    /// A new call; its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut all = self.lock();
        all.said.push(None);
        all.said.len() as u64 - 1
    }

    /// The call has its answer.
    pub(crate) fn answered(&self, call: u64, ran: Ran, how: &str) {
        let index = usize::try_from(call).expect("there are not so many");
        if self.lock().said[index].replace(ran).is_some() {
            self.wrong(
                "answered more than once",
                &format!("call {call} has a second answer: {how}"),
            );
        }
        self.count(Part::Answers, how, 1);
    }

    /// Something that must not be.
    pub(crate) fn wrong(&self, what: &str, words: &str) {
        self.count(Part::Faults, what, 1);
        let mut all = self.lock();
        if all.wrongs.len() <= Self::TOLD {
            all.wrongs.push(format!("{what}: {words}"));
        }
    }

    pub(crate) fn count(&self, part: Part, what: &str, more: u64) {
        self.lock().column.add(part, what, more);
    }

    /// Holds what was said against what was executed, once nothing runs any more.
    pub(crate) fn judge(&self, executions: &[(u64, u32)]) {
        let mut times = BTreeMap::<u64, u64>::new();
        for (call, _) in executions {
            *times.entry(*call).or_default() += 1;
        }
        let said = self.lock().said.clone();
        self.count(Part::Calls, "calls", said.len() as u64);
        self.count(Part::Calls, "answered", said.iter().flatten().count() as u64);
        self.count(Part::Calls, "executed", times.len() as u64);
        // Shown also where there is none.
        for fault in ["never answered", "answered more than once", "executed more than once"] {
            self.count(Part::Faults, fault, 0);
        }
        for fault in
            ["executed, against its answer", "not executed, against its answer", "wrong result"]
        {
            self.count(Part::Faults, fault, 0);
        }
        for (call, said) in (0..).zip(said) {
            let times = times.remove(&call).unwrap_or(0);
            let words = format!("call {call}, executed {times} times");
            match said {
                None => self.wrong("never answered", &words),
                Some(_) if times > 1 => self.wrong("executed more than once", &words),
                Some(Ran::Never) if times > 0 => self.wrong("executed, against its answer", &words),
                Some(Ran::Once) if times == 0 => {
                    self.wrong("not executed, against its answer", &words);
                }
                Some(_) => {}
            }
        }
        if !times.is_empty() {
            self.wrong("executed, and never made", &format!("{times:?}"));
        }
    }

    /// All that is wrong, in words; empty if nothing is.
    pub(crate) fn wrongs(&self) -> String {
        self.lock().wrongs.join("\n")
    }

    pub(crate) fn column(&self) -> Column {
        self.lock().column.clone()
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().expect("nothing panics with the lock")
    }
}
