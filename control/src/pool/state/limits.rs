//! The limits of a pool, and how they are checked when options are read and changed.

use std::time::Duration;

use crate::error::BadOption;

/// Calls that one runner can serve at a time: half of the streams that a link has. The other half
/// is for channels, and for calls to held values.
pub(crate) const MAX_CONCURRENCY: u32 = 32_768;

/// The shortest pause between boots after a failure. Without a pause, failing boots would be a busy
/// loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// The numbers that bound a pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PoolLimits {
    /// Runners kept up without demand. At most `max`.
    pub(crate) min: u32,
    /// Maximum number of instances, including those booting or shutting down. At least 1.
    pub(crate) max: u32,
    /// Leases that one runner holds at a time. At least 1. A `single_use` pool uses 1 in any case.
    pub(crate) max_concurrency: u32,
    /// Maximum number of waiters. At least 1, since a pool without runners sees no demand
    /// otherwise.
    pub(crate) max_queue: usize,
    /// Slots kept free ahead of demand, as far as `max` allows, from the start of the pool on.
    pub(crate) min_free_slots: u32,
    /// A runner gets one lease, and drains when that lease has been returned.
    pub(crate) single_use: bool,
    /// Which runner a lease goes to.
    pub(crate) placement: Placement,
    /// How long a runner that is needed for `min` must be idle before it may shut down; `None`
    /// means that it stays up.
    pub(crate) min_idle_shutdown_after: Option<Duration>,
    /// How boots are paced after failures.
    pub(crate) boot_backoff: BootBackoff,
    /// The limit that the budget sets; `None` if there is no budget, or if runners cost nothing.
    pub(crate) budget: Option<BudgetLimit>,
}

/// The limit that a budget sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BudgetLimit {
    /// Maximum number of instances, including those booting or shutting down. At least 1.
    pub(crate) runners: u32,
    /// Calls that would need more runners are rejected, and don't wait.
    pub(crate) refuses: bool,
}

impl PoolLimits {
    /// Leases that one runner may hold at a time.
    pub(crate) fn slots_per_runner(&self) -> u32 {
        if self.single_use { 1 } else { self.max_concurrency.max(1) }
    }

    /// These limits with `change` applied.
    pub(crate) fn changed(&self, change: &LimitsChange) -> PoolLimits {
        let kept = self.clone();
        PoolLimits {
            min: change.min.unwrap_or(kept.min),
            max: change.max.unwrap_or(kept.max),
            max_concurrency: change.max_concurrency.unwrap_or(kept.max_concurrency),
            max_queue: change.max_queue.unwrap_or(kept.max_queue),
            min_free_slots: change.min_free_slots.unwrap_or(kept.min_free_slots),
            placement: change.placement.unwrap_or(kept.placement),
            min_idle_shutdown_after: change
                .min_idle_shutdown_after
                .map_or(kept.min_idle_shutdown_after, Idle::timeout),
            ..kept
        }
    }

    /// Every option that is wrong, in the order of the fields: values out of range, and values that
    /// contradict each other.
    pub(crate) fn wrong(&self) -> Vec<BadOption> {
        let mut wrong = self.out_of_range();
        wrong.extend(self.too_many_free_slots());
        wrong.extend(self.min_over_budget());
        wrong
    }

    /// `min` is greater than the number of runners that the budget pays for. The state machine copes
    /// with that, but the setting is certainly a mistake.
    fn min_over_budget(&self) -> Option<BadOption> {
        let (min, runners) = (self.min, self.budget?.runners);
        (min > runners).then(|| BadOption {
            option: "min",
            why: format!(
                "is {min}, but the pool's `budget` pays for {runners} runners (by an estimate): \
                 lower `min` or raise `budget`"
            ),
        })
    }

    /// Values that the state machine can't work with.
    pub(crate) fn out_of_range(&self) -> Vec<BadOption> {
        let Self { min, max, max_concurrency, max_queue, boot_backoff, .. } = self;
        let mut wrong = Vec::new();
        let mut must = |holds: bool, option, why: String| {
            if !holds {
                wrong.push(BadOption { option, why });
            }
        };
        let why = format!("is {min}, above `max`, which is {max}: lower `min` or raise `max`");
        must(min <= max || *max == 0, "min", why);
        must(*max >= 1, "max", "is 0, but must be at least 1".to_owned());
        let why = format!("is {max_concurrency}, but must be from 1 to {MAX_CONCURRENCY}");
        must((1..=MAX_CONCURRENCY).contains(max_concurrency), "max_concurrency", why);
        must(*max_queue >= 1, "max_queue", "is 0, but must be at least 1".to_owned());
        let BootBackoff { first, max: longest, breaker_after, breaker_open } = boot_backoff;
        let why = format!("has a first pause of {first:?}, but it must be at least 1 ms");
        must(*first >= SHORTEST_PAUSE, "boot_backoff", why);
        let why = format!("has a first pause of {first:?}, longer than its longest, {longest:?}");
        must(first <= longest, "boot_backoff", why);
        let why = "opens after 0 failures, but must open after at least 1".to_owned();
        must(*breaker_after >= 1, "boot_breaker", why);
        let why = format!("pauses for {breaker_open:?}, but must pause for at least 1 ms");
        must(*breaker_open >= SHORTEST_PAUSE, "boot_breaker", why);
        wrong
    }

    /// `min_free_slots` is greater than the number of slots that `max` runners have. The state
    /// machine copes with that, but the setting is certainly a mistake.
    fn too_many_free_slots(&self) -> Option<BadOption> {
        let Self { max, min_free_slots, .. } = self;
        let slots = u64::from(*max) * u64::from(self.slots_per_runner());
        (u64::from(*min_free_slots) > slots).then(|| BadOption {
            option: "min_free_slots",
            why: format!(
                "is {min_free_slots}, but `max` runners ({max}) have {slots} slots in all: lower \
                 `min_free_slots` or raise `max`"
            ),
        })
    }
}

/// Changes to the limits of a running pool, for [`Pool::resize`](crate::Pool::resize). A limit that
/// is not set here stays as it is.
///
/// `single_use`, `boot_backoff` and `boot_breaker` can't be changed while the pool runs.
///
/// ```
/// use flame_aws::LimitsChange;
///
/// let change = LimitsChange::new().max(3).min_free_slots(6);
/// ```
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[must_use = "limits change only when this is given to `Pool::resize`"]
pub struct LimitsChange {
    min: Option<u32>,
    max: Option<u32>,
    max_concurrency: Option<u32>,
    max_queue: Option<usize>,
    min_free_slots: Option<u32>,
    placement: Option<Placement>,
    min_idle_shutdown_after: Option<Idle>,
}

impl LimitsChange {
    /// Changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`PoolBuilder::min`](crate::PoolBuilder::min).
    pub fn min(mut self, min: u32) -> Self {
        self.min = Some(min);
        self
    }

    /// See [`PoolBuilder::max`](crate::PoolBuilder::max).
    pub fn max(mut self, max: u32) -> Self {
        self.max = Some(max);
        self
    }

    /// See [`PoolBuilder::max_concurrency`](crate::PoolBuilder::max_concurrency).
    pub fn max_concurrency(mut self, calls: u32) -> Self {
        self.max_concurrency = Some(calls);
        self
    }

    /// See [`PoolBuilder::max_queue`](crate::PoolBuilder::max_queue).
    pub fn max_queue(mut self, calls: usize) -> Self {
        self.max_queue = Some(calls);
        self
    }

    /// See [`PoolBuilder::min_free_slots`](crate::PoolBuilder::min_free_slots).
    pub fn min_free_slots(mut self, slots: u32) -> Self {
        self.min_free_slots = Some(slots);
        self
    }

    /// See [`PoolBuilder::placement`](crate::PoolBuilder::placement).
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = Some(placement);
        self
    }

    /// See [`PoolBuilder::min_idle_shutdown_after`](crate::PoolBuilder::min_idle_shutdown_after).
    pub fn min_idle_shutdown_after(mut self, idle: impl Into<Idle>) -> Self {
        self.min_idle_shutdown_after = Some(idle.into());
        self
    }
}

/// When a runner that serves no call shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// When it has been idle for this long.
    After(Duration),
    /// Never because it is idle.
    Never,
}

impl From<Duration> for Idle {
    fn from(after: Duration) -> Self {
        Idle::After(after)
    }
}

impl Idle {
    pub(crate) fn timeout(self) -> Option<Duration> {
        match self {
            Idle::After(after) => Some(after),
            Idle::Never => None,
        }
    }
}

/// Which runner a call goes to, among those with a free slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// The least loaded runner, for the lowest latency.
    Spread,
    /// The most loaded runner, so that the other runners become idle and shut down.
    Pack,
}

/// How boots are paced after failures.
///
/// The n-th failure in a row is followed by a pause of `first * 2^(n-1)`, at most `max`, of which a
/// random half is jitter. From `breaker_after` failures in a row on, the pause is `breaker_open`,
/// and a single boot after it decides how to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BootBackoff {
    pub(crate) first: Duration,
    pub(crate) max: Duration,
    /// Failures in a row that open the breaker. At least 1.
    pub(crate) breaker_after: u32,
    pub(crate) breaker_open: Duration,
}

impl Default for BootBackoff {
    /// 250 ms, doubling up to 30 s; the breaker opens for 30 s after 5 failures.
    fn default() -> Self {
        BootBackoff {
            first: Duration::from_millis(250),
            max: Duration::from_secs(30),
            breaker_after: 5,
            breaker_open: Duration::from_secs(30),
        }
    }
}
