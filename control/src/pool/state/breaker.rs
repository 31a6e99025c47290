//! How boots are paced after failures: exponential backoff with jitter, and a circuit breaker.
//!
//! Each boot records how many failures in a row preceded it, and its own failure counts as one more
//! than that. So boots that start together and fail together count as one failure.
//!
//! ```text
//!           failure: pause first * 2^n         after `breaker_after` failures: pause breaker_open
//!   Closed ───────────────────────────▶ BackingOff ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─▶ Open
//!     ▲ ◀──────────── pause over ───────────┘                                      │ pause over
//!     └────────────────── a boot comes up ◀──── HalfOpen (one boot) ◀──────────────┘
//! ```

use std::time::{Duration, Instant};

use flame_wire::backoff::Backoff;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::limits::BootBackoff;

/// No pause is longer than this, whatever the limits say, so that instants stay in range.
const LONGEST_PAUSE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The share of each pause that is random.
const JITTER: f64 = 0.5;

/// Whether a boot may start now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BreakerState {
    /// Any number of boots may start.
    Closed,
    /// One boot at a time may start: the breaker was open, and a single boot shows whether boots
    /// work again.
    HalfOpen,
    /// No boot may start until then.
    BackingOff { until: Instant },
    /// No boot may start until then, and no call should wait for one.
    Open { until: Instant },
}

/// Counts failures in a row, and paces the next boots.
#[derive(Debug)]
pub(super) struct BootBreaker {
    failures: u32,
    retry_at: Option<Instant>,
    tripped: bool,
    /// Keeps pools that failed together from booting in step.
    jitter: StdRng,
}

impl BootBreaker {
    pub(super) fn new(seed: u64) -> Self {
        BootBreaker {
            failures: 0,
            retry_at: None,
            tripped: false,
            jitter: StdRng::seed_from_u64(seed),
        }
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.retry_at {
            Some(until) if now < until && self.tripped => BreakerState::Open { until },
            Some(until) if now < until => BreakerState::BackingOff { until },
            _ if self.tripped => BreakerState::HalfOpen,
            _ => BreakerState::Closed,
        }
    }

    /// A boot that started after `failures_before` failures in a row has failed. Enough of them
    /// open the breaker.
    pub(super) fn boot_failed(
        &mut self,
        now: Instant,
        failures_before: u32,
        backoff: &BootBackoff,
    ) -> BreakerState {
        self.count_failure(failures_before);
        self.tripped |= self.failures >= backoff.breaker_after;
        self.pause(now, backoff)
    }

    /// A runner was lost, or has shut down, before it served a call. Paces boots like a failed
    /// boot, but does not open the breaker: there is no reason that callers could be given.
    pub(super) fn runner_unused(
        &mut self,
        now: Instant,
        failures_before: u32,
        backoff: &BootBackoff,
    ) -> BreakerState {
        self.count_failure(failures_before);
        self.pause(now, backoff)
    }

    /// A runner came up, so boots work. Returns whether this closes the breaker.
    ///
    /// A pause that is running is shortened to the first one, not lifted: if every second boot
    /// fails, the successes must not make the failures free.
    pub(super) fn came_up(&mut self, now: Instant, backoff: &BootBackoff) -> bool {
        self.failures = 0;
        self.retry_at = self.retry_at.map(|at| at.min(after(now, backoff.first)));
        std::mem::take(&mut self.tripped)
    }

    fn count_failure(&mut self, failures_before: u32) {
        self.failures = self.failures.max(failures_before.saturating_add(1));
    }

    fn pause(&mut self, now: Instant, backoff: &BootBackoff) -> BreakerState {
        let (first, longest) = if self.tripped {
            (backoff.breaker_open, backoff.breaker_open)
        } else {
            (backoff.first, backoff.max)
        };
        let pauses = Backoff::new(first, longest.min(LONGEST_PAUSE)).with_jitter(JITTER);
        self.retry_at = Some(after(now, pauses.pause(self.failures, self.jitter.random())));
        self.state(now)
    }
}

fn after(now: Instant, pause: Duration) -> Instant {
    now.checked_add(pause.min(LONGEST_PAUSE)).unwrap_or(now)
}
