//! Client-side rate limiting: a burst of requests at once, then a fixed number per second.
//!
//! AWS counts requests per account and region, Fly per app, and both throttle above a limit. A client
//! that stays below the limit is never throttled. [`TokenBucket`] is pure; tasks wait at a [`RateLimiter`].

use std::time::{Duration, Instant};

use flame_wire::sync::Mutex;

/// Tokens that refill over time. The bucket may go into debt: a caller that takes a token from an
/// empty bucket is told how long to wait, and later callers wait longer, so callers keep their
/// order.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    burst: f64,
    per_second: f64,
    /// Negative if tokens were promised that are not there yet.
    tokens: f64,
    refilled_at: Option<Instant>,
}

impl TokenBucket {
    /// A full bucket. Both numbers must be above 0.
    pub(crate) const fn new(burst: f64, per_second: f64) -> Self {
        Self { burst, per_second, tokens: burst, refilled_at: None }
    }

    /// Takes a token. Returns how long the caller must wait before it may use it.
    pub(crate) fn take(&mut self, now: Instant) -> Duration {
        let last = self.refilled_at.unwrap_or(now);
        let elapsed = now.saturating_duration_since(last);
        self.refilled_at = Some(last.max(now));
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.burst) - 1.0;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / self.per_second).unwrap_or(Duration::MAX)
    }
}

/// A token bucket that tasks share and wait at.
#[derive(Debug)]
pub(crate) struct RateLimiter(Mutex<TokenBucket>);

impl RateLimiter {
    pub(crate) const fn new(burst: f64, per_second: f64) -> Self {
        Self(Mutex::new(TokenBucket::new(burst, per_second)))
    }

    /// Takes a token and waits until it may be used. A future that is dropped loses its token, so
    /// the rate is then lower than allowed, never higher.
    pub(crate) async fn acquire(&self) {
        let now = tokio::time::Instant::now().into_std();
        let wait = self.0.lock().take(now);
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
    fn a_burst_passes_at_once_and_later_requests_keep_the_rate() {
        let (start, mut bucket) = (start(), TokenBucket::new(3.0, 2.0));
        let waits: Vec<_> = (0..6).map(|_| bucket.take(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 500, 1000, 1500]);
    }

    #[test]
    fn a_bucket_refills_over_time_and_never_above_its_burst() {
        let (start, mut bucket) = (start(), TokenBucket::new(2.0, 1.0));
        let later = start + Duration::from_secs(3600);
        (0..2).for_each(|_| assert!(bucket.take(start).is_zero()));
        assert_eq!(bucket.take(start + Duration::from_millis(500)).as_millis(), 500);
        let waits: Vec<_> = (0..3).map(|_| bucket.take(later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 1000]);
    }

    #[test]
    fn over_a_long_time_no_more_requests_pass_than_burst_and_rate_allow() {
        let (start, mut bucket) = (start(), TokenBucket::new(100.0, 40.0));
        let requests = (0..2000).map(|n| start + Duration::from_millis(n * 5));
        let passes: Vec<_> = requests.map(|at| at + bucket.take(at)).collect();
        for seconds in 1..=10 {
            let end = start + Duration::from_secs(seconds);
            let count = passes.iter().filter(|at| **at < end).count() as u64;
            assert!(count <= 100 + 40 * seconds, "{count} in {seconds} s");
        }
    }

    #[test]
    fn a_clock_that_goes_back_adds_no_tokens() {
        let (start, mut bucket) = (start(), TokenBucket::new(1.0, 1.0));
        let later = start + Duration::from_secs(10);
        assert!(bucket.take(later).is_zero());
        assert_eq!(bucket.take(start).as_secs(), 1);
        assert_eq!(bucket.take(later).as_secs(), 2);
    }
}
