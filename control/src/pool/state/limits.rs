//! What bounds a pool. Checked where options are read and changed.

use std::time::Duration;

use crate::error::BadOption;

/// Calls that one runner can serve at a time: half of the streams that a link has, which leaves as
/// many for channels and for calls to what is held.
pub(crate) const MAX_CONCURRENCY: u32 = 32_768;

/// The shortest pause between boots after a failure: without one, failing boots would be a busy loop.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// The numbers a pool lives by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// Runners kept whether or not anyone asks. At most `max`.
    pub(crate) min: u32,
    /// Instances at any time: booting, up and on their way out together. At least 1.
    pub(crate) max: u32,
    /// Leases one runner holds at a time. At least 1. A `single_use` pool uses 1 whatever this says.
    pub(crate) max_concurrency: u32,
    /// Waiters beyond which a checkout is refused. At least 1, or a cold pool never sees demand.
    pub(crate) max_queue: usize,
    /// Slots kept free ahead of demand while below `max`, from the start of the pool on.
    pub(crate) min_free_slots: u32,
    /// A runner serves one lease, ever, and is drained once that is back.
    pub(crate) single_use: bool,
    /// Which runner a lease goes to.
    pub(crate) placement: Placement,
    /// How long a runner that makes up `min` is idle before it may go; `None`: it stays.
    pub(crate) min_idle_shutdown_after: Option<Duration>,
    /// The pace of boots after failures.
    pub(crate) boot_backoff: Backoff,
}

impl Limits {
    /// Leases one runner may hold at a time.
    pub(crate) fn slots_per_runner(&self) -> u32 {
        if self.single_use { 1 } else { self.max_concurrency.max(1) }
    }

    /// These limits with `change` laid over them.
    pub(crate) fn changed(&self, change: &LimitsChange) -> Limits {
        let kept = self.clone();
        Limits {
            min: change.min.unwrap_or(kept.min),
            max: change.max.unwrap_or(kept.max),
            max_concurrency: change.max_concurrency.unwrap_or(kept.max_concurrency),
            max_queue: change.max_queue.unwrap_or(kept.max_queue),
            min_free_slots: change.min_free_slots.unwrap_or(kept.min_free_slots),
            placement: change.placement.unwrap_or(kept.placement),
            min_idle_shutdown_after: change
                .min_idle_shutdown_after
                .unwrap_or(kept.min_idle_shutdown_after),
            ..kept
        }
    }

    /// What is wrong with them, in the order of their options: values that no pool can have, and
    /// values that contradict each other.
    pub(crate) fn wrong(&self) -> Vec<BadOption> {
        let mut wrong = self.out_of_range();
        wrong.extend(self.spare_above_slots());
        wrong
    }

    /// Values that the pool's state can't work with.
    pub(crate) fn out_of_range(&self) -> Vec<BadOption> {
        let Self { min, max, max_concurrency, max_queue, boot_backoff, .. } = self;
        let mut wrong = Vec::new();
        let mut must = |so: bool, option, why: String| {
            if !so {
                wrong.push(BadOption { option, why });
            }
        };
        let why = format!("is {min}, above `max`, which is {max}: lower `min` or raise `max`");
        must(min <= max || *max == 0, "min", why);
        must(*max >= 1, "max", "is 0, but must be at least 1".to_owned());
        let why = format!("is {max_concurrency}, but must be from 1 to {MAX_CONCURRENCY}");
        must((1..=MAX_CONCURRENCY).contains(max_concurrency), "max_concurrency", why);
        must(*max_queue >= 1, "max_queue", "is 0, but must be at least 1".to_owned());
        let Backoff { first, max: longest, breaker_after, breaker_open } = boot_backoff;
        let why = format!("begins with a pause of {first:?}, but must begin with at least 1 ms");
        must(*first >= LEAST_PAUSE, "boot_backoff", why);
        let why = format!("begins with a pause of {first:?}, above its longest one of {longest:?}");
        must(first <= longest, "boot_backoff", why);
        let why = "opens after 0 failures, but must open after at least 1".to_owned();
        must(*breaker_after >= 1, "boot_breaker", why);
        let why = format!("pauses for {breaker_open:?}, but must pause for at least 1 ms");
        must(*breaker_open >= LEAST_PAUSE, "boot_breaker", why);
        wrong
    }

    /// More slots to be kept free than there can be: the state copes with it, but it can't have been
    /// meant.
    fn spare_above_slots(&self) -> Option<BadOption> {
        let Self { max, min_free_slots, .. } = self;
        let slots = u64::from(*max) * u64::from(self.slots_per_runner());
        (u64::from(*min_free_slots) > slots).then(|| BadOption {
            option: "min_free_slots",
            why: format!(
                "is {min_free_slots}, but the pool's `max` of {max} runners have {slots} slots in all: lower \
                 `min_free_slots` or raise `max`"
            ),
        })
    }
}

/// What changes in a pool's limits at run time; `None` leaves a limit as it is.
///
/// What a pool is (`single_use`) and how it paces its boots do not change while it runs.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LimitsChange {
    /// Runners kept whether or not anyone calls.
    pub min: Option<u32>,
    /// Instances at any time.
    pub max: Option<u32>,
    /// Calls that one runner serves at a time.
    pub max_concurrency: Option<u32>,
    /// Calls that may wait for a slot.
    pub max_queue: Option<usize>,
    /// Slots kept free ahead of demand.
    pub min_free_slots: Option<u32>,
    /// Which runner a call goes to.
    pub placement: Option<Placement>,
    /// How long a runner that makes up `min` is idle before it may go; `Some(None)`: it stays.
    pub min_idle_shutdown_after: Option<Option<Duration>>,
}

/// Which runner a lease goes to, among those with a free slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// The least loaded: the best latency.
    Spread,
    /// The most loaded: the others empty, idle out, and cost nothing.
    Pack,
}

/// How boots are paced after failures.
///
/// The n-th failure in a row is followed by a pause of `first * 2^(n-1)`, at most `max`, of which
/// a random half is jitter. From `breaker_after` failures in a row on the pause is `breaker_open`,
/// and a single trial boot decides what follows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) max: Duration,
    /// Failures in a row that open the breaker. At least 1.
    pub(crate) breaker_after: u32,
    pub(crate) breaker_open: Duration,
}

impl Default for Backoff {
    /// 250 ms, doubling up to 30 s; the breaker opens for 30 s after 5 failures.
    fn default() -> Self {
        Backoff {
            first: Duration::from_millis(250),
            max: Duration::from_secs(30),
            breaker_after: 5,
            breaker_open: Duration::from_secs(30),
        }
    }
}
