//! Which tasks are orphans: runners of this pool that would otherwise run forever.
//!
//! A runner ends by itself if it can't reach its parent, if it has lost its parent for longer than
//! `reconnect_timeout`, and at the end of its `max_lifetime`. What remains is a runner that hangs
//! before it has those timers, or whose process no longer makes progress. ECS has no time limit for
//! tasks, so another process must stop such a task.
//!
//! A task is an orphan only if one of these is certain:
//!
//! 1. **Stray.** The tag `flame:parent` says that it belongs to *this* parent and pool, and this
//!    backend does not know it: the response to its RunTask was lost, and the boot was given up.
//! 2. **Its parent is dead.** The tag `flame:parent-task` names the ECS task that the parent ran
//!    in, and ECS says that this task has stopped, or no longer knows it. Only parents in the same
//!    region and account count: ECS knows nothing of others, whether they live or not.
//! 3. **Overdue.** The tag `flame:ends-by` holds the latest Unix time at which the runner's
//!    `max_lifetime` and shutdown window end, and that was more than [`MAX_CLOCK_SKEW`] ago.
//!
//! Every other task is left alone: a task without the tags of this pool, or one whose parent lives,
//! does not run on ECS, or can't be looked up. It may be the live runner of another parent.
//!
//! An orphan is only marked at first. It is stopped when it is older than the minimum age and a
//! later scan, at least [`pause`](Rule::pause) after the first, finds it an orphan again. A scan in
//! which it is not an orphan removes the mark, and so does a complete round without it: with many
//! tasks, it takes several scans to see each task once.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::task::Task;

/// The pool's name, as [`tag_safe`](super::request::tag_safe) text.
pub(super) const POOL_TAG: &str = "flame:pool";
/// The runner's ref.
pub(super) const RUNNER_TAG: &str = "flame:runner";
/// The parent's id: a new one for each start of a pool.
pub(super) const PARENT_TAG: &str = "flame:parent";
/// The ARN of the parent's own task, if the parent runs on ECS.
pub(super) const PARENT_TASK_TAG: &str = "flame:parent-task";
/// The Unix time by which the runner must have ended, if its lifetime is limited.
pub(super) const ENDS_BY_TAG: &str = "flame:ends-by";

/// How far apart the clocks of two machines, and of AWS, may be.
pub(super) const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The state of a parent's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParentStatus {
    /// It runs, or may still run.
    Alive,
    /// It has stopped, or ECS no longer knows it.
    Dead,
}

/// The parameters of a sweep.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// The value of this pool's [`POOL_TAG`]; `None` for the runners of all pools.
    pub(super) pool: Option<String>,
    /// The value of this parent's [`PARENT_TAG`]; `None` in a process that boots no runners.
    pub(super) parent: Option<String>,
    /// The minimum age of a task that is stopped.
    pub(super) age: Duration,
    /// The shortest time between the scan that marks a task and the scan that stops it.
    pub(super) pause: Duration,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Sweep {
    rule: Rule,
    marked: BTreeMap<String, OrphanMark>,
    /// The number of the current round.
    round: u64,
}

#[derive(Debug, Clone, Copy)]
struct OrphanMark {
    since: Instant,
    /// The latest round in which the task was found an orphan.
    round: u64,
}

/// The input of one scan.
pub(super) struct Scan<'a> {
    pub(super) now: Instant,
    /// The Unix time in seconds. AWS and other parents use this clock.
    pub(super) unix: i64,
    /// Tasks of the family, with their tags.
    pub(super) tasks: &'a [Task],
    /// Whether these are the last tasks of a round.
    pub(super) ends_round: bool,
    /// Whether this backend watches the task, or is booting its runner.
    pub(super) known: &'a dyn Fn(&Task) -> bool,
    /// The tasks of parents, as far as they could be looked up.
    pub(super) parents: &'a HashMap<String, ParentStatus>,
}

impl Sweep {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, marked: BTreeMap::new(), round: 0 }
    }

    /// The parents' tasks that must be looked up before a [`scan`](Self::scan).
    pub(super) fn parents_of(&self, tasks: &[Task]) -> Vec<String> {
        let candidates = tasks.iter().filter(|task| self.is_candidate(task));
        let mut parents: Vec<_> = candidates
            .filter(|task| !self.is_of_this_parent(task))
            .filter_map(|task| parent_of(task).map(str::to_owned))
            .collect();
        parents.sort();
        parents.dedup();
        parents
    }

    /// The tasks that are marked.
    pub(super) fn marked(&self) -> impl Iterator<Item = &str> {
        self.marked.keys().map(String::as_str)
    }

    /// Marks orphans. Returns those to be stopped, each with the reason.
    pub(super) fn scan(&mut self, scan: &Scan<'_>) -> Vec<(String, &'static str)> {
        let mut stop = Vec::new();
        for task in scan.tasks {
            let earlier = self.marked.remove(&task.arn);
            let why = self.is_candidate(task).then(|| self.why_orphan(task, scan)).flatten();
            let Some(why) = why else { continue };
            let is_confirmed = earlier.is_some_and(|mark| {
                scan.now.saturating_duration_since(mark.since) >= self.rule.pause
            });
            if is_confirmed && self.is_old(task, scan.unix) {
                stop.push((task.arn.clone(), why));
            }
            let since = earlier.map_or(scan.now, |mark| mark.since);
            self.marked.insert(task.arn.clone(), OrphanMark { since, round: self.round });
        }
        if scan.ends_round {
            self.marked.retain(|_, mark| mark.round == self.round);
            self.round += 1;
        }
        stop
    }

    fn is_candidate(&self, task: &Task) -> bool {
        let pool = task.tags.get(POOL_TAG);
        pool.is_some_and(|pool| self.rule.pool.as_ref().is_none_or(|own| own == pool))
            && task.tags.contains_key(RUNNER_TAG)
            && !task.is_ending()
    }

    fn is_of_this_parent(&self, task: &Task) -> bool {
        self.rule.parent.is_some() && task.tags.get(PARENT_TAG) == self.rule.parent.as_ref()
    }

    fn why_orphan(&self, task: &Task, scan: &Scan<'_>) -> Option<&'static str> {
        if (scan.known)(task) {
            return None;
        }
        if self.is_of_this_parent(task) {
            return Some("flame: a stray task, whose boot was given up");
        }
        task.tags.get(PARENT_TAG)?;
        let parent = parent_of(task).and_then(|arn| scan.parents.get(arn));
        if parent == Some(&ParentStatus::Dead) {
            return Some("flame: an orphan: its parent's task has stopped");
        }
        let ends_by: i64 = task.tags.get(ENDS_BY_TAG)?.parse().ok()?;
        let overdue = scan.unix.saturating_sub(ends_by) > seconds(MAX_CLOCK_SKEW);
        overdue.then_some("flame: an orphan: it has outlived its max_lifetime")
    }

    fn is_old(&self, task: &Task, unix: i64) -> bool {
        // A task without a creation time does not count as old.
        task.created.is_some_and(|created| unix.saturating_sub(created) >= seconds(self.rule.age))
    }
}

/// The task of a runner's parent, if ECS can look it up here.
fn parent_of(task: &Task) -> Option<&str> {
    let parent = task.tags.get(PARENT_TASK_TAG)?;
    let is_reachable = scope(parent).is_some() && scope(parent) == scope(&task.arn);
    is_reachable.then_some(parent.as_str())
}

/// Partition, service, region and account of an ARN: `arn:aws:ecs:region:account:..`.
fn scope(arn: &str) -> Option<&str> {
    let (end, _) = arn.match_indices(':').nth(4)?;
    arn.get(..end)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
