//! Which tasks to poll, and when: one poller for all tasks of a backend, pending and running.
//!
//! ```text
//!   insert ──▶ tasks ──┐ due: every second while any boots or ends, else every 5 s
//!                      ▼
//!            batches of 100, one at a time ──▶ DescribeTasks ──▶ answered ──▶ the dead tasks
//!                      ▲                                    └──▶ failed: retried with backoff
//!                      └─ poll_now: at once
//! ```
//!
//! A request for each task would be throttled, and a batch costs the same as one task. Pure: the
//! driver makes the requests and passes the time in.
//!
//! Invariants:
//! - A task is watched until it is seen dead. A failed request never ends that.
//! - A task that ECS does not know yet is pending: right after RunTask, DescribeTasks may not see
//!   it (AWS documentation, RunTask: "eventual consistency"). It counts as dead when it is older
//!   than [`UNKNOWN_GRACE`] and two responses in a row did not know it, at least one `up` interval
//!   apart: two responses in quick succession may come from the same lagging replica.
//! - At most one request is in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use flame_wire::backoff::Backoff;

use super::task::Task;
use crate::backend::BootTimes;
use crate::backend::aws::jittered_backoff;

/// The most tasks that DescribeTasks takes (AWS documentation, DescribeTasks).
pub(super) const MAX_BATCH: usize = 100;
/// How long after its launch a task may be unknown to ECS.
pub(super) const UNKNOWN_GRACE: Duration = Duration::from_secs(60);
/// How long a running task still counts as booting: if the app fails to start, it fails in this
/// time.
const SETTLE_TIME: Duration = Duration::from_secs(10);
/// The delays after failed requests.
const BACKOFF: Backoff = jittered_backoff(Duration::from_secs(1), Duration::from_secs(30));
/// The shortest time between two rounds, even if a task is to be polled at once.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

/// How often tasks are polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PollIntervals {
    /// The interval while any task boots or ends.
    pub(super) booting: Duration,
    /// The interval while all tasks are up.
    pub(super) up: Duration,
}

#[derive(Debug)]
struct WatchedTask {
    launched: Instant,
    running_since: Option<Instant>,
    boot_times: Option<BootTimes>,
    /// Whether it had been running for [`SETTLE_TIME`] when it was last polled.
    settled: bool,
    ending: bool,
    /// The time of the first of the latest responses in a row that did not know it.
    missing_since: Option<Instant>,
}

/// No task with this ARN is watched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotWatched;

/// How a watched task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TaskEnd {
    /// ECS reports it as stopped.
    Stopped(Box<Task>),
    /// ECS no longer knows it.
    Unknown,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Poller {
    intervals: PollIntervals,
    tasks: BTreeMap<String, WatchedTask>,
    /// The tasks of this round that are still to be polled.
    round: VecDeque<String>,
    /// The batch of the request in flight.
    in_flight: Option<Vec<String>>,
    round_began: Option<Instant>,
    not_before: Option<Instant>,
    failures: u32,
    urgent: BTreeSet<String>,
}

impl Poller {
    pub(super) fn new(intervals: PollIntervals) -> Self {
        Self {
            intervals,
            tasks: BTreeMap::new(),
            round: VecDeque::new(),
            in_flight: None,
            round_began: None,
            not_before: None,
            failures: 0,
            urgent: BTreeSet::new(),
        }
    }

    /// Watches a task that was launched at `now`.
    pub(super) fn insert(&mut self, now: Instant, arn: String) {
        if self.tasks.is_empty() {
            self.round_began = Some(now);
        }
        let task = WatchedTask {
            launched: now,
            running_since: None,
            boot_times: None,
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

    /// Whether the task is known to be ending, so that it need not be stopped; `None` if it is not
    /// watched.
    pub(super) fn is_ending(&self, arn: &str) -> Option<bool> {
        self.tasks.get(arn).map(|task| task.ending)
    }

    /// The parts of the task's boot, once ECS has reported them. An error means that it is not
    /// watched.
    pub(super) fn boot_times(&self, arn: &str) -> Result<Option<BootTimes>, NotWatched> {
        self.tasks.get(arn).map(|task| task.boot_times).ok_or(NotWatched)
    }

    /// All watched tasks.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }

    /// Polls the task at once.
    pub(super) fn poll_now(&mut self, arn: &str) {
        if self.tasks.contains_key(arn) {
            self.urgent.insert(arn.to_owned());
        }
    }

    /// Whether the poll that [`poll_now`](Self::poll_now) asked for has not been answered yet.
    pub(super) fn is_poll_pending(&self, arn: &str) -> bool {
        let in_flight = self.in_flight.iter().flatten();
        self.urgent.contains(arn) || in_flight.chain(&self.round).any(|asked| asked == arn)
    }

    /// Records that the task was told to stop.
    pub(super) fn mark_stopping(&mut self, arn: &str) {
        if let Some(task) = self.tasks.get_mut(arn) {
            task.ending = true;
        }
    }

    /// When [`next_batch`](Self::next_batch) has a batch; `None` while no task is watched or a
    /// request is in flight.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.in_flight.is_some() || self.tasks.is_empty() {
            return None;
        }
        let interval = match (self.urgent.is_empty(), self.round.is_empty()) {
            (_, false) => Duration::ZERO,
            (false, true) => MIN_INTERVAL.min(self.intervals.booting),
            (true, true) if self.tasks.values().all(|task| task.settled && !task.ending) => {
                self.intervals.up
            }
            (true, true) => self.intervals.booting,
        };
        let due = self.round_began.map_or(now, |began| began + interval);
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }

    /// The tasks to poll now, if it is time.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<Vec<String>> {
        if self.poll_timeout(now)? > now {
            return None;
        }
        self.not_before = None;
        if self.round.is_empty() {
            // Urgent tasks come first.
            let urgent = std::mem::take(&mut self.urgent);
            self.round.extend(urgent.iter().filter(|arn| self.tasks.contains_key(*arn)).cloned());
            self.round.extend(self.tasks.keys().filter(|arn| !urgent.contains(*arn)).cloned());
            self.round_began = Some(now);
        }
        let batch: Vec<_> = self.round.drain(..self.round.len().min(MAX_BATCH)).collect();
        self.in_flight = Some(batch.clone());
        Some(batch)
    }

    /// Handles the response to a batch: the tasks that ECS knows and those that it does not.
    /// Returns the dead tasks, which are no longer watched.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        known: Vec<Task>,
        unknown: &[String],
    ) -> Vec<(String, TaskEnd)> {
        self.in_flight = None;
        self.failures = 0;
        let mut dead = Vec::new();
        for task in known {
            let Some(watched) = self.tasks.get_mut(&task.arn) else { continue };
            watched.missing_since = None;
            watched.ending = task.is_ending();
            if task.is_over() {
                self.tasks.remove(&task.arn);
                dead.push((task.arn.clone(), TaskEnd::Stopped(Box::new(task))));
            } else if task.is_running() {
                watched.boot_times = task.times.boot_times();
                let since = *watched.running_since.get_or_insert(now);
                watched.settled = now.saturating_duration_since(since) >= SETTLE_TIME;
            }
        }
        for arn in unknown {
            let Some(watched) = self.tasks.get_mut(arn) else { continue };
            let since = *watched.missing_since.get_or_insert(now);
            let is_confirmed =
                now > since && now.saturating_duration_since(since) >= self.intervals.up;
            let is_old = now.saturating_duration_since(watched.launched) > UNKNOWN_GRACE;
            if is_old && is_confirmed {
                self.tasks.remove(arn);
                dead.push((arn.clone(), TaskEnd::Unknown));
            }
        }
        dead
    }

    /// Handles a failed request: the round starts again after a delay. `jitter` is in 0..1.
    pub(super) fn failed(&mut self, now: Instant, jitter: f64) {
        self.in_flight = None;
        self.failures = self.failures.saturating_add(1);
        self.round.clear();
        self.not_before = Some(now + BACKOFF.pause(self.failures, jitter));
    }
}

#[cfg(test)]
mod tests;
