//! The pace of boots: exponential back-off with jitter, and the breaker above it.
//!
//! Each boot carries the rung it was tried from; its failure puts the ladder one rung above that.
//! So boots that were started together and fail together count as one failure, not as many.
//!
//! ```text
//!          failure: pause first * 2^n           breaker_after failures: pause breaker_open
//!   Open ───────────────────────────▶ Shut ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─▶ Shut (breaker open)
//!    ▲ ◀──────────── pause over ────────┘                                 │ pause over
//!    └───────────────────── a boot comes up ◀──── Trial (one boot) ◀──────┘
//! ```

use std::time::{Duration, Instant};

use super::limits::Backoff;

/// No pause is longer than this, whatever the limits say: instants stay in range.
const LONGEST_PAUSE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Whether a boot may be started now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gate {
    /// Any number.
    Open,
    /// One at a time: the breaker was open, and a single boot is to show whether boots work again.
    Trial,
    /// None until then.
    Shut { until: Instant },
    /// None until then, and nobody shall wait for it.
    BreakerOpen { until: Instant },
}

/// Failures in a row, and what follows from them.
#[derive(Debug)]
pub(super) struct Ladder {
    rung: u32,
    retry_at: Option<Instant>,
    tripped: bool,
    jitter: u64,
}

impl Ladder {
    pub(super) fn new(seed: u64) -> Self {
        Ladder { rung: 0, retry_at: None, tripped: false, jitter: seed }
    }

    /// Failures in a row.
    pub(super) fn rung(&self) -> u32 {
        self.rung
    }

    pub(super) fn gate(&self, now: Instant) -> Gate {
        match self.retry_at {
            Some(until) if now < until && self.tripped => Gate::BreakerOpen { until },
            Some(until) if now < until => Gate::Shut { until },
            _ if self.tripped => Gate::Trial,
            _ => Gate::Open,
        }
    }

    /// A boot tried from `rung` failed. Opens the breaker after enough of them.
    pub(super) fn boot_failed(&mut self, now: Instant, rung: u32, backoff: &Backoff) -> Gate {
        self.climb(rung);
        self.tripped |= self.rung >= backoff.breaker_after;
        self.pause(now, backoff)
    }

    /// A runner booted from `rung` was lost before it was of any use. Paces boots like a failed
    /// boot, but does not trip the breaker: there is no reason that callers could be told.
    pub(super) fn lost_young(&mut self, now: Instant, rung: u32, backoff: &Backoff) -> Gate {
        self.climb(rung);
        self.pause(now, backoff)
    }

    /// A boot came up: boots work. Returns whether this closes the breaker.
    ///
    /// A pause that is running is cut to the first one, not lifted: where one boot in two fails,
    /// the successes must not make the failures free.
    pub(super) fn came_up(&mut self, now: Instant, backoff: &Backoff) -> bool {
        self.rung = 0;
        self.retry_at = self.retry_at.map(|at| at.min(after(now, backoff.first)));
        std::mem::take(&mut self.tripped)
    }

    fn climb(&mut self, rung: u32) {
        self.rung = self.rung.max(rung.saturating_add(1));
    }

    fn pause(&mut self, now: Instant, backoff: &Backoff) -> Gate {
        let pause = if self.tripped {
            backoff.breaker_open
        } else {
            let doublings = self.rung.saturating_sub(1).min(31);
            backoff.first.saturating_mul(1 << doublings).min(backoff.max)
        };
        self.retry_at = Some(after(now, self.jittered(pause)));
        self.gate(now)
    }

    /// Between half of `pause` and all of it.
    fn jittered(&mut self, pause: Duration) -> Duration {
        let half = pause.min(LONGEST_PAUSE) / 2;
        let share = u32::try_from(self.random() >> 32).unwrap_or(u32::MAX);
        let part = half.mul_f64(f64::from(share) / f64::from(u32::MAX));
        half + part
    }

    /// SplitMix64: small, and good enough to keep pools from booting in step.
    fn random(&mut self) -> u64 {
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn after(now: Instant, pause: Duration) -> Instant {
    now.checked_add(pause.min(LONGEST_PAUSE)).unwrap_or(now)
}
