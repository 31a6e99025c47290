//! A histogram of durations that many threads can record into without a lock.
//!
//! The buckets are those of an HDR histogram: each power of two is divided into [`SUB_BUCKETS`]
//! equal parts. A value that is read back is the middle of its bucket, so it is wrong by at most
//! 1/16. The sum is exact.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The number of buckets of each power of two.
const SUB_BUCKETS: usize = 1 << SUB_BITS;
const SUB_BITS: u32 = 3;
/// Durations of 2^38 microseconds (76 hours) and more share the last bucket.
const MAX_BITS: u32 = 38;
const BUCKETS: usize = ((MAX_BITS - SUB_BITS) as usize + 1) * SUB_BUCKETS;

/// Counts durations in buckets, in microseconds.
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum_micros: AtomicU64::new(0),
        }
    }

    pub(crate) fn record(&self, duration: Duration) {
        let micros =
            u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min((1 << MAX_BITS) - 1);
        self.buckets[bucket(micros)].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The counts at this moment. A duration that is recorded at the same time may be in the sum
    /// and not in a bucket yet, or the other way round.
    pub(crate) fn read(&self) -> HistogramReading {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets = counts.enumerate().filter(|(_, count)| *count > 0);
        let buckets = buckets.map(|(index, count)| (middle_seconds(index), count)).collect();
        let sum = seconds(self.sum_micros.load(Ordering::Relaxed));
        HistogramReading { buckets, sum }
    }
}

/// Durations that were counted in buckets.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct HistogramReading {
    /// The middle of each bucket that is not empty, in seconds and in ascending order, and how many
    /// durations it has. A duration differs from its bucket's middle by at most 1/16.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all durations, in seconds.
    pub sum: f64,
}

impl HistogramReading {
    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// The duration that a share `quantile` (0 to 1) of all durations does not exceed, in seconds.
    /// `None` if there are none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let wanted = quantile.clamp(0.0, 1.0) * as_f64(self.count());
        let mut seen = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            seen += count;
            as_f64(seen) >= wanted
        });
        reached.or(self.buckets.last()).map(|(middle, _)| *middle)
    }

    /// The durations that were counted since `earlier`, an earlier reading of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut before = earlier.buckets.iter().copied().peekable();
        let mut buckets = Vec::new();
        for &(middle, count) in &self.buckets {
            // A bucket never becomes empty, so each earlier one is among the later ones.
            let known = before.next_if(|(earlier, _)| *earlier == middle).map_or(0, |(_, n)| n);
            if count > known {
                buckets.push((middle, count - known));
            }
        }
        Self { buckets, sum: (self.sum - earlier.sum).max(0.0) }
    }

    /// Adds the durations of another histogram.
    pub(crate) fn add(&mut self, other: &Self) {
        for &(middle, count) in &other.buckets {
            match self.buckets.binary_search_by(|(mine, _)| mine.total_cmp(&middle)) {
                Ok(at) => self.buckets[at].1 += count,
                Err(at) => self.buckets.insert(at, (middle, count)),
            }
        }
        self.sum += other.sum;
    }
}

/// The bucket of a value below `1 << MAX_BITS`.
fn bucket(micros: u64) -> usize {
    let bits = u64::BITS - micros.leading_zeros();
    // The first two octaves, below 2^(SUB_BITS + 1), have buckets of one microsecond.
    let shift = bits.saturating_sub(SUB_BITS + 1);
    let within = usize::try_from(micros >> shift).unwrap_or(usize::MAX);
    shift as usize * SUB_BUCKETS + within
}

/// The middle of a bucket, in seconds.
fn middle_seconds(bucket: usize) -> f64 {
    let shift = (bucket / SUB_BUCKETS).saturating_sub(1);
    let within = bucket - shift * SUB_BUCKETS;
    let (low, width) = ((within as u64) << shift, 1_u64 << shift);
    seconds(low) + seconds(width - 1) / 2.0
}

fn seconds(micros: u64) -> f64 {
    as_f64(micros) / 1e6
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of more than 2^52 may lose its last digits"
)]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recorded(durations: impl IntoIterator<Item = Duration>) -> HistogramReading {
        let histogram = Histogram::new();
        durations.into_iter().for_each(|duration| histogram.record(duration));
        histogram.read()
    }

    proptest! {
        #[test]
        fn a_bucket_s_middle_is_near_each_of_its_durations(micros in 0_u64..1 << MAX_BITS) {
            let reading = recorded([Duration::from_micros(micros)]);
            let [(middle, 1)] = reading.buckets[..] else { panic!("{reading:?}") };
            let exact = seconds(micros);
            prop_assert!((middle - exact).abs() <= exact / 16.0 + 1e-9, "{middle} for {exact}");
            prop_assert!((reading.sum - exact).abs() < 1e-9);
        }

        #[test]
        fn buckets_are_in_the_order_of_their_durations(a in 0_u64..1 << MAX_BITS, b in 0_u64..1 << MAX_BITS) {
            let (less, more) = (a.min(b), a.max(b));
            prop_assert!(bucket(less) <= bucket(more));
            prop_assert!(bucket(more) < BUCKETS);
        }
    }

    #[test]
    fn a_duration_beyond_the_range_is_counted_in_the_last_bucket() {
        let reading = recorded([Duration::MAX]);
        assert_eq!(reading.count(), 1);
        assert!(reading.sum > 76.0 * 3600.0, "{reading:?}");
    }

    #[test]
    fn the_difference_of_two_readings_is_what_was_counted_in_between() {
        let histogram = Histogram::new();
        let millis = Duration::from_millis;
        [1, 1, 50].into_iter().for_each(|n| histogram.record(millis(n)));
        let earlier = histogram.read();
        [1, 700].into_iter().for_each(|n| histogram.record(millis(n)));
        let between = histogram.read().since(&earlier);
        assert_eq!(between.buckets, recorded([millis(1), millis(700)]).buckets);
        assert!((between.sum - 0.701).abs() < 1e-9, "{between:?}");
        assert_eq!(histogram.read().since(&histogram.read()).count(), 0);
    }

    #[test]
    fn two_histograms_add_up() {
        let millis = Duration::from_millis;
        let mut all = recorded([millis(1), millis(50)]);
        all.add(&recorded([millis(7), millis(50)]));
        assert_eq!(all.buckets, recorded([1, 7, 50, 50].map(millis)).buckets);
        assert!((all.sum - 0.108).abs() < 1e-9, "{all:?}");
    }

    #[test]
    fn quantiles_are_durations_that_were_counted() {
        let reading = recorded((1..=100).map(Duration::from_millis));
        for (quantile, expected) in [(0.0, 0.001), (0.5, 0.05), (0.99, 0.099), (1.0, 0.1)] {
            let found = reading.quantile(quantile).unwrap();
            assert!((found - expected).abs() <= expected / 16.0, "{quantile}: {found}");
        }
        assert_eq!(HistogramReading::default().quantile(0.5), None);
    }
}
