//! Which tasks are orphans: runners of this pool that nobody will ever stop.
//!
//! A runner ends by itself: when it can't reach its parent, when it lost it for longer than the
//! grace, when its lifetime is over. What is left is one that hangs before it gets so far, or whose
//! process no longer moves. ECS has no timeout of tasks, so somebody else must end it.
//!
//! A task is an orphan only where one of these is certain:
//!
//! 1. **Stray.** It is of *this* parent and pool, by the tag `flame:parent`, and this backend does
//!    not know it: the answer to its order was lost, and the order was given up.
//! 2. **Its parent is dead.** The tag `flame:parent-task` names the ECS task that its parent ran
//!    in, and ECS says that this task has stopped, or does not know it any more. That task is of
//!    the same region and account: of others ECS knows nothing, whether they live or not.
//! 3. **Overdue.** The tag `flame:ends-by` names the latest time, in seconds of Unix time, at which
//!    its pool's `lifetime` and shutdown window were over, and that is [`SKEW`] ago.
//!
//! Everything else is left alone: a task without the tags of this pool; one whose parent runs
//! elsewhere than on ECS, lives, or can't be asked for. It may well be another parent's, and live.
//!
//! Even an orphan is only marked at first. It is stopped when it is older than the age floor, and
//! was found an orphan again, by a later look, at least [`pause`](Rule::pause) later. One look at
//! which it is none takes the mark away, and so does a round of looks that has not seen it: where
//! there are many tasks, it takes several looks to see each once.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::task::Task;

/// The pool, as text that a tag may have.
pub(super) const POOL: &str = "flame:pool";
/// The runner's ref.
pub(super) const RUNNER: &str = "flame:runner";
/// The parent: one id for each start of a pool.
pub(super) const PARENT: &str = "flame:parent";
/// The parent's own task, if it runs on ECS.
pub(super) const PARENT_TASK: &str = "flame:parent-task";
/// When the runner must be gone, if its life is limited.
pub(super) const ENDS_BY: &str = "flame:ends-by";

/// How far the clocks of two machines, and of AWS, may be apart.
pub(super) const SKEW: Duration = Duration::from_secs(300);

/// What a parent's task is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParentTask {
    /// It runs, or may yet.
    Alive,
    /// It has stopped, or is not known any more.
    Dead,
}

/// What a look goes by.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// This pool, as its tag says.
    pub(super) pool: String,
    /// This parent.
    pub(super) parent: String,
    /// No younger task is stopped.
    pub(super) age: Duration,
    /// Between the look that marks and the one that stops.
    pub(super) pause: Duration,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Sweep {
    rule: Rule,
    marked: BTreeMap<String, Mark>,
    /// Counts rounds.
    round: u64,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    since: Instant,
    /// In which it was found an orphan last.
    round: u64,
}

/// What one look has to go by.
pub(super) struct Look<'a> {
    pub(super) now: Instant,
    /// The wall clock, in seconds of Unix time: what AWS and other parents write is that.
    pub(super) unix: i64,
    /// Tasks of the family, with their tags.
    pub(super) tasks: &'a [Task],
    /// Whether these are the last ones: with the next look a new round begins.
    pub(super) ends_round: bool,
    /// Those that this backend knows, or has an order under way for, by their ARN.
    pub(super) known: &'a dyn Fn(&Task) -> bool,
    /// The tasks of parents, as far as they could be asked for.
    pub(super) parents: &'a HashMap<String, ParentTask>,
}

impl Sweep {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, marked: BTreeMap::new(), round: 0 }
    }

    /// The tasks of other parents that must be asked for before a [`look`](Self::look).
    pub(super) fn parents_of(&self, tasks: &[Task]) -> Vec<String> {
        let of_others = tasks.iter().filter(|task| self.is_candidate(task));
        let mut parents: Vec<_> = of_others
            .filter(|task| task.tags.get(PARENT) != Some(&self.rule.parent))
            .filter_map(|task| parent_of(task).map(str::to_owned))
            .collect();
        parents.sort();
        parents.dedup();
        parents
    }

    /// Marks orphans; gives those to be stopped, each with the reason.
    pub(super) fn look(&mut self, look: &Look<'_>) -> Vec<(String, &'static str)> {
        let mut stop = Vec::new();
        for task in look.tasks {
            let before = self.marked.remove(&task.arn);
            let why = self.is_candidate(task).then(|| self.why_orphan(task, look)).flatten();
            let Some(why) = why else { continue };
            let seen_again = before.is_some_and(|mark| {
                look.now.saturating_duration_since(mark.since) >= self.rule.pause
            });
            if seen_again && self.is_old(task, look.unix) {
                stop.push((task.arn.clone(), why));
            }
            let since = before.map_or(look.now, |mark| mark.since);
            self.marked.insert(task.arn.clone(), Mark { since, round: self.round });
        }
        if look.ends_round {
            self.marked.retain(|_, mark| mark.round == self.round);
            self.round += 1;
        }
        stop
    }

    fn is_candidate(&self, task: &Task) -> bool {
        task.tags.get(POOL) == Some(&self.rule.pool)
            && task.tags.contains_key(RUNNER)
            && !task.is_ending()
    }

    fn why_orphan(&self, task: &Task, look: &Look<'_>) -> Option<&'static str> {
        if (look.known)(task) {
            return None;
        }
        if task.tags.get(PARENT)? == &self.rule.parent {
            return Some("flame: a stray, whose order was given up");
        }
        let parent = parent_of(task).and_then(|arn| look.parents.get(arn));
        if parent == Some(&ParentTask::Dead) {
            return Some("flame: an orphan, whose parent's task has stopped");
        }
        let ends_by: i64 = task.tags.get(ENDS_BY)?.parse().ok()?;
        let overdue = look.unix.saturating_sub(ends_by) > seconds(SKEW);
        overdue.then_some("flame: an orphan, which outlives its lifetime")
    }

    fn is_old(&self, task: &Task, unix: i64) -> bool {
        // One that does not say when it was made is not old.
        task.created.is_some_and(|created| unix.saturating_sub(created) >= seconds(self.rule.age))
    }
}

/// The task of a runner's parent, where ECS can be asked after it.
fn parent_of(task: &Task) -> Option<&str> {
    let parent = task.tags.get(PARENT_TASK)?;
    let near = place(parent).is_some() && place(parent) == place(&task.arn);
    near.then_some(parent.as_str())
}

/// What an ARN says of partition, service, region and account: `arn:aws:ecs:region:account:..`.
fn place(arn: &str) -> Option<&str> {
    let (end, _) = arn.match_indices(':').nth(4)?;
    arn.get(..end)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
