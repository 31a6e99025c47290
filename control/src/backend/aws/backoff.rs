//! The delays between the attempts at one request.

use std::time::Duration;

/// Exponential backoff with jitter: the delay after the nth failure is at most `initial * 2^(n-1)`,
/// capped at `max`, and at least a quarter of that, so that no caller retries in a tight loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    /// The delay after `failures` failed attempts in a row. `jitter`, in 0..1, picks a point between
    /// the shortest and the longest delay.
    pub(crate) fn delay(self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let limit = self.initial.saturating_mul(1 << doublings).min(self.max);
        limit / 4 + (limit - limit / 4).mul_f64(jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { initial: Duration::from_millis(200), max: Duration::from_millis(5_000) };

    #[test]
    fn delays_double_up_to_the_maximum() {
        let longest: Vec<_> = (1..8).map(|n| BACKOFF.delay(n, 1.0).as_millis()).collect();
        assert_eq!(longest, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(BACKOFF.delay(u32::MAX, 1.0), BACKOFF.max);
    }

    #[test]
    fn no_delay_is_zero_and_jitter_spreads_the_delays() {
        let shortest: Vec<_> = (1..4).map(|n| BACKOFF.delay(n, 0.0).as_millis()).collect();
        assert_eq!(shortest, [50, 100, 200]);
        assert_eq!(BACKOFF.delay(2, 0.5).as_millis(), 250);
    }
}
