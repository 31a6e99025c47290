//! What bounds a pool. Checked where options are read and changed.

use std::time::Duration;

/// Calls that one runner can serve at a time: half of the streams that a link has, which leaves as
/// many for channels and for calls to what is held.
pub(crate) const MAX_CONCURRENCY: u32 = 32_768;

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
    pub(crate) spare: u32,
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
            spare: change.spare.unwrap_or(kept.spare),
            placement: change.placement.unwrap_or(kept.placement),
            min_idle_shutdown_after: change
                .min_idle_shutdown_after
                .unwrap_or(kept.min_idle_shutdown_after),
            ..kept
        }
    }

    /// Which of them can't be so, and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let must = |option, least: u64, is: u64| match is >= least {
            true => Ok(()),
            false => Err((option, format!("must be at least {least}"))),
        };
        must("max", 1, self.max.into())?;
        must("max_concurrency", 1, self.max_concurrency.into())?;
        must("max_queue", 1, self.max_queue as u64)?;
        must("boot_breaker", 1, self.boot_backoff.breaker_after.into())?;
        if self.max_concurrency > MAX_CONCURRENCY {
            return Err(("max_concurrency", format!("can be {MAX_CONCURRENCY} at most")));
        }
        if self.min > self.max {
            let Self { min, max, .. } = self;
            let why = format!("is {min}, above `max`, which is {max}: lower it or raise max");
            return Err(("min", why));
        }
        if self.boot_backoff.first > self.boot_backoff.max {
            return Err(("boot_backoff", "has a first pause above the longest".to_owned()));
        }
        Ok(())
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
    pub spare: Option<u32>,
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
