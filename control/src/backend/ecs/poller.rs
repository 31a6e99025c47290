//! Which tasks to ask for, and when: one poller for all tasks of a backend, pending and live.
//!
//! ```text
//!   insert ──▶ tasks ──┐ due: every second while any boots or ends, else every 5 s
//!                      ▼
//!            batches of 100, one at a time ──▶ DescribeTasks ──▶ answered ──▶ the dead
//!                      ▲                                    └──▶ failed: later, ever later
//!                      └─ look_at: at once
//! ```
//!
//! Asking per task is what gets a fleet throttled; a batch costs the same as one. Pure: the driver
//! asks, and tells the time.
//!
//! Invariants:
//! - A task is watched until it is seen dead, or removed. No failure of a request ends that.
//! - A task that ECS does not know yet is pending: right after RunTask, DescribeTasks may not see
//!   it (AWS documentation, RunTask: "eventual consistency"). It is dead when it is older than
//!   [`UNKNOWN_FOR`], and two answers in a row, with the pause between two looks at a fleet that
//!   is up in between, have not known it: two that follow each other at once may come from the
//!   same place that lags behind.
//! - At most one request is under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::task::Task;
use crate::backend::aws::pace::Pace;

/// The most tasks that DescribeTasks takes (AWS documentation, DescribeTasks).
pub(super) const BATCH: usize = 100;
/// How long after its order a task may be unknown.
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// How long after it was first seen running a task still counts as booting: what goes wrong in the
/// app's start goes wrong then.
const SETTLES: Duration = Duration::from_secs(10);
/// After a failed request.
const PACE: Pace = Pace { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// No two rounds follow each other faster, whoever is in a hurry.
const BREATH: Duration = Duration::from_millis(50);

/// How often tasks are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Every {
    /// While any of them boots or ends.
    pub(super) booting: Duration,
    /// While all are up.
    pub(super) up: Duration,
}

#[derive(Debug)]
struct Watched {
    ordered: Instant,
    running_since: Option<Instant>,
    /// When it was last looked at, it had been running for a while.
    settled: bool,
    ending: bool,
    /// The first of the answers in a row that have not known it.
    missing_since: Option<Instant>,
}

/// How a task has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// As it says.
    Seen(Task),
    /// ECS knows it no more.
    Unknown,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Poller {
    every: Every,
    tasks: BTreeMap<String, Watched>,
    /// Those of this round that are still to be asked for.
    round: VecDeque<String>,
    /// The request that is under way.
    asking: Option<Vec<String>>,
    last: Option<Instant>,
    not_before: Option<Instant>,
    failed: u32,
    urgent: BTreeSet<String>,
}

impl Poller {
    pub(super) fn new(every: Every) -> Self {
        Self {
            every,
            tasks: BTreeMap::new(),
            round: VecDeque::new(),
            asking: None,
            last: None,
            not_before: None,
            failed: 0,
            urgent: BTreeSet::new(),
        }
    }

    /// Watches a task that was ordered at `now`.
    pub(super) fn insert(&mut self, now: Instant, arn: String) {
        if self.tasks.is_empty() {
            self.last = Some(now);
        }
        let task = Watched {
            ordered: now,
            running_since: None,
            settled: false,
            ending: false,
            missing_since: None,
        };
        self.tasks.entry(arn).or_insert(task);
    }

    /// Whether the task is watched.
    pub(super) fn knows(&self, arn: &str) -> bool {
        self.tasks.contains_key(arn)
    }

    /// Whether the task ends without anyone's doing, as far as is known; `None` if it is not
    /// watched.
    pub(super) fn is_ending(&self, arn: &str) -> Option<bool> {
        self.tasks.get(arn).map(|task| task.ending)
    }

    /// All that are watched.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }

    /// Asks for the task at once.
    pub(super) fn look_at(&mut self, arn: &str) {
        if self.tasks.contains_key(arn) {
            self.urgent.insert(arn.to_owned());
        }
    }

    /// Whether an answer that was asked for by [`look_at`](Self::look_at) is still to come.
    pub(super) fn is_waited_for(&self, arn: &str) -> bool {
        let asking = self.asking.iter().flatten();
        self.urgent.contains(arn) || asking.chain(&self.round).any(|asked| asked == arn)
    }

    /// The task was told to stop.
    pub(super) fn told_to_stop(&mut self, arn: &str) {
        if let Some(task) = self.tasks.get_mut(arn) {
            task.ending = true;
        }
    }

    /// When [`next_batch`](Self::next_batch) has something; `None` while there is nothing to watch,
    /// or a request is under way.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.asking.is_some() || self.tasks.is_empty() {
            return None;
        }
        let every = match (self.urgent.is_empty(), self.round.is_empty()) {
            (_, false) => Duration::ZERO,
            (false, true) => BREATH.min(self.every.booting),
            (true, true) if self.tasks.values().all(|task| task.settled && !task.ending) => {
                self.every.up
            }
            (true, true) => self.every.booting,
        };
        let due = self.last.map_or(now, |last| last + every);
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }

    /// The tasks to ask for now, if it is time.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<Vec<String>> {
        if self.poll_timeout(now)? > now {
            return None;
        }
        self.not_before = None;
        if self.round.is_empty() {
            // Those that somebody waits for come first.
            let urgent = std::mem::take(&mut self.urgent);
            self.round.extend(urgent.iter().filter(|arn| self.tasks.contains_key(*arn)).cloned());
            self.round.extend(self.tasks.keys().filter(|arn| !urgent.contains(*arn)).cloned());
            self.last = Some(now);
        }
        let batch: Vec<_> = self.round.drain(..self.round.len().min(BATCH)).collect();
        self.asking = Some(batch.clone());
        Some(batch)
    }

    /// What ECS says of a batch: the tasks it knows, and those it does not. Gives the dead, which
    /// are watched no more.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        known: Vec<Task>,
        unknown: &[String],
    ) -> Vec<(String, End)> {
        self.asking = None;
        self.failed = 0;
        let mut dead = Vec::new();
        for task in known {
            let Some(watched) = self.tasks.get_mut(&task.arn) else { continue };
            watched.missing_since = None;
            watched.ending = task.is_ending();
            if task.is_over() {
                self.tasks.remove(&task.arn);
                dead.push((task.arn.clone(), End::Seen(task)));
            } else if task.is_running() {
                let since = *watched.running_since.get_or_insert(now);
                watched.settled = now.saturating_duration_since(since) >= SETTLES;
            }
        }
        for arn in unknown {
            let Some(watched) = self.tasks.get_mut(arn) else { continue };
            let since = *watched.missing_since.get_or_insert(now);
            let again = now > since && now.saturating_duration_since(since) >= self.every.up;
            let old = now.saturating_duration_since(watched.ordered) > UNKNOWN_FOR;
            if old && again {
                self.tasks.remove(arn);
                dead.push((arn.clone(), End::Unknown));
            }
        }
        dead
    }

    /// The request has failed; the round is begun anew later. `share`, in 0..1, is the jitter.
    pub(super) fn failed(&mut self, now: Instant, share: f64) {
        self.asking = None;
        self.failed = self.failed.saturating_add(1);
        self.round.clear();
        self.not_before = Some(now + PACE.pause(self.failed, share));
    }
}

#[cfg(test)]
mod tests;
