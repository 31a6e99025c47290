//! Finds orphans: instances of runners that would otherwise run forever.
//!
//! A runner ends by itself if it can't reach its parent, if it has lost its parent for longer than
//! `reconnect_timeout`, and at the end of its `max_lifetime`. A runner that hangs before it has
//! those timers, or whose process no longer makes progress, does not. Neither ECS, nor Fly, nor a
//! container engine has a time limit for instances, so another process must stop such a runner.
//!
//! An instance is an orphan only if one of these is certain:
//!
//! 1. **Stray.** The tag `flame:parent` says that it belongs to *this* parent and pool, and this
//!    backend does not know it: the response to its boot was lost, and the boot was given up.
//! 2. **Its parent is dead.** A tag says [where the parent runs](Listed::parent), and the platform
//!    says that nothing runs there any more. A parent that can't be looked up from here does not
//!    count, whether it lives or not.
//! 3. **Overdue.** The tag `flame:ends-by` holds the latest Unix time at which the runner's
//!    `max_lifetime` and shutdown window end, and that was more than [`MAX_CLOCK_SKEW`] ago.
//!
//! Every other instance is left alone: one without the tags of this pool, or one whose parent lives
//! or can't be looked up. It may be the live runner of another parent.
//!
//! An orphan is only marked at first. It is stopped when it is older than the minimum age and a
//! later scan, at least [`pause`](Rule::pause) after the first, finds it an orphan again. A scan in
//! which it is not an orphan removes the mark, and so does a complete round without it: with many
//! instances, it takes several scans to see each of them once.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flame_wire::entropy;

use super::BackendError;

/// The pool's name, as text that the platform accepts in a tag.
pub(super) const POOL_TAG: &str = "flame:pool";
/// The runner's ref.
pub(super) const RUNNER_TAG: &str = "flame:runner";
/// The parent's id: a new one for each start of a pool.
pub(super) const PARENT_TAG: &str = "flame:parent";
/// The Unix time by which the runner must have ended, if its lifetime is limited.
pub(super) const ENDS_BY_TAG: &str = "flame:ends-by";

/// How far apart the clocks of two machines, and of the platform, may be.
pub(super) const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// An instance, as its platform lists it.
pub(super) trait Listed {
    /// The platform's id of the instance.
    fn id(&self) -> &str;
    /// The value of a tag.
    fn tag(&self, name: &str) -> Option<&str>;
    /// The time of its creation, in seconds of Unix time by the platform's clock.
    fn created(&self) -> Option<i64>;
    /// Whether the instance is ending already, so that nobody has to stop it.
    fn is_ending(&self) -> bool;
    /// Where the parent of the runner runs, if that can be looked up from here.
    fn parent(&self) -> Option<&str>;
}

/// The state of a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParentStatus {
    /// The parent runs, or may still run.
    Alive,
    /// The parent has stopped, or the platform no longer knows it.
    Dead,
}

/// Whether and how often a pool looks for orphans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sweeping {
    Never,
    Every { interval: Duration, age: Duration },
}

impl Default for Sweeping {
    fn default() -> Self {
        Self::Every { interval: Duration::from_secs(300), age: Duration::from_secs(600) }
    }
}

/// The parameters of a sweep.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// The value of this pool's [`POOL_TAG`]; `None` for the runners of all pools.
    pub(super) pool: Option<String>,
    /// The value of this parent's [`PARENT_TAG`]; `None` in a process that boots no runners.
    pub(super) parent: Option<String>,
    /// The minimum age of an instance that is stopped.
    pub(super) age: Duration,
    /// The shortest time between the scan that marks an instance and the scan that stops it.
    pub(super) pause: Duration,
}

/// Marks orphans scan by scan, and names those to stop.
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
    /// The latest round in which the instance was found an orphan.
    round: u64,
}

/// The input of one scan.
pub(super) struct Scan<'a, L> {
    pub(super) now: Instant,
    /// Seconds of Unix time, the clock that the platform and other parents also use.
    pub(super) unix: i64,
    /// Instances with their tags.
    pub(super) listed: &'a [L],
    /// Whether these are the last instances of a round.
    pub(super) ends_round: bool,
    /// Whether this backend watches the instance, or is booting its runner.
    pub(super) known: &'a dyn Fn(&L) -> bool,
    /// The parents, by [where they run](Listed::parent), as far as they could be looked up.
    pub(super) parents: &'a HashMap<String, ParentStatus>,
}

impl Sweep {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, marked: BTreeMap::new(), round: 0 }
    }

    /// The parents that must be looked up before a [`scan`](Self::scan).
    pub(super) fn parents_of<L: Listed>(&self, listed: &[L]) -> Vec<String> {
        let candidates = listed.iter().filter(|one| self.is_candidate(*one));
        let mut parents: Vec<_> = candidates
            .filter(|one| !self.is_of_this_parent(*one))
            .filter_map(|one| one.parent().map(str::to_owned))
            .collect();
        parents.sort();
        parents.dedup();
        parents
    }

    /// The instances that are marked.
    #[cfg_attr(not(feature = "ecs"), allow(dead_code, reason = "only the reaper asks"))]
    pub(super) fn marked(&self) -> impl Iterator<Item = &str> {
        self.marked.keys().map(String::as_str)
    }

    /// Marks orphans. Returns those to be stopped, each with the reason.
    pub(super) fn scan<L: Listed>(&mut self, scan: &Scan<'_, L>) -> Vec<(String, &'static str)> {
        let mut stop = Vec::new();
        for one in scan.listed {
            let earlier = self.marked.remove(one.id());
            let why = self.is_candidate(one).then(|| self.why_orphan(one, scan)).flatten();
            let Some(why) = why else { continue };
            let is_confirmed = earlier.is_some_and(|mark| {
                scan.now.saturating_duration_since(mark.since) >= self.rule.pause
            });
            if is_confirmed && self.is_old(one, scan.unix) {
                stop.push((one.id().to_owned(), why));
            }
            let since = earlier.map_or(scan.now, |mark| mark.since);
            self.marked.insert(one.id().to_owned(), OrphanMark { since, round: self.round });
        }
        if scan.ends_round {
            self.marked.retain(|_, mark| mark.round == self.round);
            self.round += 1;
        }
        stop
    }

    fn is_candidate(&self, one: &impl Listed) -> bool {
        let pool = one.tag(POOL_TAG);
        pool.is_some_and(|pool| self.rule.pool.as_deref().is_none_or(|own| own == pool))
            && one.tag(RUNNER_TAG).is_some()
            && !one.is_ending()
    }

    fn is_of_this_parent(&self, one: &impl Listed) -> bool {
        self.rule.parent.is_some() && one.tag(PARENT_TAG) == self.rule.parent.as_deref()
    }

    fn why_orphan<L: Listed>(&self, one: &L, scan: &Scan<'_, L>) -> Option<&'static str> {
        if (scan.known)(one) {
            return None;
        }
        if self.is_of_this_parent(one) {
            return Some("flame: a stray runner, whose boot was given up");
        }
        one.tag(PARENT_TAG)?;
        let parent = one.parent().and_then(|parent| scan.parents.get(parent));
        if parent == Some(&ParentStatus::Dead) {
            return Some("flame: an orphan: its parent has stopped");
        }
        let ends_by: i64 = one.tag(ENDS_BY_TAG)?.parse().ok()?;
        let overdue = scan.unix.saturating_sub(ends_by) > seconds(MAX_CLOCK_SKEW);
        overdue.then_some("flame: an orphan: it has outlived its max_lifetime")
    }

    fn is_old(&self, one: &impl Listed, unix: i64) -> bool {
        // An instance without a creation time does not count as old.
        one.created().is_some_and(|created| unix.saturating_sub(created) >= seconds(self.rule.age))
    }
}

/// A new value of [`PARENT_TAG`]. Sweeps presume that all instances with it belong to one pool of
/// one process.
pub(super) fn new_parent_id() -> Result<String, BackendError> {
    let id = entropy::random_bytes().map_err(|error| BackendError::new(error.to_string()))?;
    Ok(format!("p-{:032x}", u128::from_le_bytes(id)))
}

/// The value of [`ENDS_BY_TAG`] for a runner that boots now and may live for at most `max_age`.
pub(super) fn ends_by(max_age: Option<Duration>) -> Option<i64> {
    unix_now().checked_add(i64::try_from(max_age?.as_secs()).ok()?)
}

/// Waits until the next scan of those that follow each other after this time. Jitter keeps several
/// parents from scanning at the same time.
pub(super) async fn until_next_scan(every: Duration) {
    tokio::time::sleep(every + every.mul_f64(rand::random_range(0.0..0.1))).await;
}

/// Seconds of Unix time.
#[expect(clippy::disallowed_methods, reason = "platforms and other parents use this clock")]
pub(super) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
