//! Measured times, and their statistics.

use std::time::{Duration, Instant};

/// How many rounds to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    Full,
    Quick,
}

impl Effort {
    /// Returns the number of rounds: all of them or, with `--quick`, a fifth but at least two.
    pub(crate) fn rounds(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => (full / 5).max(2),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The times of one repeated operation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time within which this share (0 to 1) of the samples is.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1).expect("a sample");
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "there are fewer samples than 2^52, and the share is not negative"
        )]
        let place = (last as f64 * share).round() as usize;
        sorted[place.min(last)]
    }

    pub(crate) fn p50(&self) -> Duration {
        self.percentile(0.50)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.percentile(0.99)
    }

    pub(crate) fn max(&self) -> Duration {
        self.percentile(1.0)
    }
}

/// Repeats an operation, and measures the time of each repetition.
///
/// It is a macro since the compiler can't prove yet that a future that awaits an async closure is
/// `Send`.
macro_rules! samples {
    ($times:expr, $what:expr) => {{
        let mut samples = $crate::sample::Samples::default();
        for _ in 0..$times {
            let start = $crate::sample::now();
            $what;
            samples.push(start.elapsed());
        }
        samples
    }};
}
pub(crate) use samples;

/// The rounds of one figure: the median of each round, and all samples together.
///
/// The median of the medians ignores rounds that other processes on the machine have disturbed.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    medians: Samples,
    all: Samples,
}

impl Rounds {
    pub(crate) fn push(&mut self, round: &Samples) {
        self.medians.push(round.p50());
        self.all.extend(round);
    }

    /// The median of the rounds' medians.
    pub(crate) fn p50(&self) -> Duration {
        self.medians.p50()
    }

    /// The 99th percentile of all samples, including disturbed rounds.
    pub(crate) fn p99(&self) -> Duration {
        self.all.p99()
    }
}

/// Returns the median of some values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    *sorted.get(sorted.len() / 2).expect("a value")
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
