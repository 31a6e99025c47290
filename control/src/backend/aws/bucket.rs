//! A token bucket: so many requests at once, so many per second after that.
//!
//! AWS counts per account and region and throttles whoever is above; a client that keeps below
//! is never told to wait. [`TokenBucket`] is pure; [`Meter`] is one that tasks can wait at.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tokens that refill with time. It may be in debt: whoever takes from an empty bucket is told how
/// long to wait, and those who come later wait longer, so the order is kept.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    burst: f64,
    per_second: f64,
    /// Negative: promised, and not there yet.
    tokens: f64,
    at: Option<Instant>,
}

impl TokenBucket {
    /// A full one. Both numbers must be above 0.
    pub(crate) const fn new(burst: f64, per_second: f64) -> Self {
        Self { burst, per_second, tokens: burst, at: None }
    }

    /// Takes a token; how long to wait before it may be used.
    pub(crate) fn take(&mut self, now: Instant) -> Duration {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
        self.tokens = (self.tokens + passed.as_secs_f64() * self.per_second).min(self.burst) - 1.0;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / self.per_second).unwrap_or(Duration::MAX)
    }
}

/// A bucket that tasks share.
#[derive(Debug)]
pub(crate) struct Meter(Mutex<TokenBucket>);

impl Meter {
    pub(crate) const fn new(burst: f64, per_second: f64) -> Self {
        Self(Mutex::new(TokenBucket::new(burst, per_second)))
    }

    /// Waits for a turn. Dropped, the turn is lost, which only errs on the slow side.
    pub(crate) async fn pass(&self) {
        let now = tokio::time::Instant::now().into_std();
        let wait = self.0.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_burst_passes_at_once_and_what_follows_keeps_the_pace() {
        let (start, mut bucket) = (start(), TokenBucket::new(3.0, 2.0));
        let waits: Vec<_> = (0..6).map(|_| bucket.take(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 500, 1000, 1500]);
    }

    #[test]
    fn it_refills_with_time_and_never_above_the_burst() {
        let (start, mut bucket) = (start(), TokenBucket::new(2.0, 1.0));
        let later = start + Duration::from_secs(3600);
        (0..2).for_each(|_| assert!(bucket.take(start).is_zero()));
        assert_eq!(bucket.take(start + Duration::from_millis(500)).as_millis(), 500);
        let waits: Vec<_> = (0..3).map(|_| bucket.take(later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 1000]);
    }

    #[test]
    fn over_a_long_time_no_more_pass_than_burst_and_rate_allow() {
        let (start, mut bucket) = (start(), TokenBucket::new(100.0, 40.0));
        let asked = (0..2000).map(|n| start + Duration::from_millis(n * 5));
        let passes = asked.map(|at| at + bucket.take(at));
        let within = |seconds| start + Duration::from_secs(seconds);
        let passed: Vec<_> = passes.collect();
        for seconds in 1..=10 {
            let count = passed.iter().filter(|at| **at < within(seconds)).count() as u64;
            assert!(count <= 100 + 40 * seconds, "{count} in {seconds} s");
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let (start, mut bucket) = (start(), TokenBucket::new(1.0, 1.0));
        let later = start + Duration::from_secs(10);
        assert!(bucket.take(later).is_zero());
        assert_eq!(bucket.take(start).as_secs(), 1);
        assert_eq!(bucket.take(later).as_secs(), 2);
    }
}
