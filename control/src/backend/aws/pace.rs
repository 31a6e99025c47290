//! The pauses between tries of one request.

use std::time::Duration;

/// Exponential back-off with full jitter: the nth pause is anything up to `first * 2^n`, at most
/// `longest`, but never less than a quarter of that, so that nobody spins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Pace {
    /// The pause after so many tries that failed; `share`, in 0..1, is where in its range it lies.
    pub(crate) fn pause(self, failed: u32, share: f64) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        let limit = self.first.saturating_mul(1 << doublings).min(self.longest);
        limit / 4 + (limit - limit / 4).mul_f64(share.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace =
        Pace { first: Duration::from_millis(200), longest: Duration::from_millis(5_000) };

    #[test]
    fn pauses_double_up_to_the_longest() {
        let longest: Vec<_> = (1..8).map(|n| PACE.pause(n, 1.0).as_millis()).collect();
        assert_eq!(longest, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(PACE.pause(u32::MAX, 1.0), PACE.longest);
    }

    #[test]
    fn no_pause_is_nothing_and_the_jitter_spreads_them() {
        let shortest: Vec<_> = (1..4).map(|n| PACE.pause(n, 0.0).as_millis()).collect();
        assert_eq!(shortest, [50, 100, 200]);
        assert_eq!(PACE.pause(2, 0.5).as_millis(), 250);
    }
}
