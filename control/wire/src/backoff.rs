//! Exponential backoff: how long to wait before something that failed is tried again.

use std::time::Duration;

/// The pauses between attempts. They double from `first` up to `max`.
///
/// Pure: the caller counts the failures and supplies the randomness.
///
/// ```
/// use std::time::Duration;
/// use flame_wire::backoff::Backoff;
///
/// const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
/// assert_eq!(BACKOFF.pause(1, 0.0), Duration::from_millis(50));
/// assert_eq!(BACKOFF.pause(3, 0.0), Duration::from_millis(200));
/// assert_eq!(BACKOFF.pause(9, 0.0), Duration::from_secs(2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    jitter: f64,
    plateau: Option<Plateau>,
}

/// A length at which the pauses stay for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Plateau {
    pause: Duration,
    failures: u32,
}

impl Backoff {
    /// Pauses without jitter.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, jitter: 0.0, plateau: None }
    }

    /// Makes this share of each pause random, so that clients that failed together do not all come
    /// back together. With 0.5, a pause is between half of its full length and all of it.
    #[must_use]
    pub const fn with_jitter(self, share: f64) -> Self {
        Self { jitter: share.clamp(0.0, 1.0), ..self }
    }

    /// Limits the pauses after the first `failures` failures to `pause`. Later pauses double from
    /// there. For something that will probably work soon, or else not for a long time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use flame_wire::backoff::Backoff;
    /// const SECOND: Duration = Duration::from_secs(1);
    /// let backoff = Backoff::new(SECOND, 30 * SECOND).with_plateau(2 * SECOND, 4);
    /// let pauses: Vec<_> = (1..8).map(|n| backoff.pause(n, 0.0).as_secs()).collect();
    /// assert_eq!(pauses, [1, 2, 2, 2, 4, 8, 16]);
    /// ```
    #[must_use]
    pub const fn with_plateau(self, pause: Duration, failures: u32) -> Self {
        Self { plateau: Some(Plateau { pause, failures }), ..self }
    }

    /// The longest pause.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// The pause after `failures` failures in a row. `random`, in 0..1, picks its place in the
    /// range that the jitter leaves open; without jitter it has no effect.
    #[must_use]
    pub fn pause(&self, failures: u32, random: f64) -> Duration {
        let full = self.full_pause(failures);
        let cut = self.jitter * (1.0 - random.clamp(0.0, 1.0));
        // `Duration::mul_f64` panics on the longest durations, where rounding exceeds the range.
        let cut = Duration::try_from_secs_f64(full.as_secs_f64() * cut).unwrap_or(full);
        full.saturating_sub(cut)
    }

    /// The pause without jitter.
    fn full_pause(&self, failures: u32) -> Duration {
        let doubled = |from: Duration, failures: u32| {
            let doublings = failures.saturating_sub(1).min(31);
            from.saturating_mul(1 << doublings).min(self.max)
        };
        match self.plateau {
            None => doubled(self.first, failures),
            Some(plateau) if failures <= plateau.failures => {
                doubled(self.first, failures).min(plateau.pause)
            }
            Some(plateau) => {
                let later = failures.saturating_sub(plateau.failures);
                doubled(plateau.pause, later.saturating_add(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff::new(Duration::from_millis(200), Duration::from_secs(5)).with_jitter(0.75);

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<_> = (1..8).map(|n| BACKOFF.pause(n, 1.0).as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(BACKOFF.pause(u32::MAX, 1.0), BACKOFF.max());
    }

    #[test]
    fn the_jitter_shortens_a_pause_by_its_share_at_most() {
        let shortest: Vec<_> = (1..4).map(|n| BACKOFF.pause(n, 0.0).as_millis()).collect();
        assert_eq!(shortest, [50, 100, 200]);
        assert_eq!(BACKOFF.pause(2, 0.5).as_millis(), 250);
    }

    #[test]
    fn without_jitter_a_pause_is_not_random() {
        let exact = Backoff::new(Duration::from_millis(3), Duration::from_secs(1));
        for random in [0.0, 0.3, 1.0] {
            assert_eq!(exact.pause(2, random), Duration::from_millis(6));
        }
    }

    #[test]
    fn no_limit_and_no_share_out_of_range_panics() {
        for (first, max) in [(Duration::MAX, Duration::MAX), (Duration::ZERO, Duration::ZERO)] {
            for (share, random) in [(0.0, 0.0), (1.0, 0.0), (f64::NAN, 2.0), (7.0, f64::NAN)] {
                let backoff = Backoff::new(first, max).with_jitter(share);
                for backoff in [backoff, backoff.with_plateau(first, 0)] {
                    assert!(backoff.pause(u32::MAX, random) <= max);
                }
            }
        }
    }

    #[test]
    fn no_pause_is_longer_than_the_longest_even_on_a_plateau_above_it() {
        let backoff = BACKOFF.with_plateau(2 * BACKOFF.max(), 3);
        assert!((1..100).all(|n| backoff.pause(n, 1.0) <= BACKOFF.max()));
    }

    #[test]
    fn before_any_failure_the_pause_is_the_first_one() {
        assert_eq!(BACKOFF.pause(0, 1.0), BACKOFF.pause(1, 1.0));
    }
}
