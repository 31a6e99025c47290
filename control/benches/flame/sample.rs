//! Times taken, and what is made of them.

use std::time::{Duration, Instant};

/// How much trouble to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    Full,
    Quick,
}

impl Effort {
    /// How many rounds, of that many in full: a fifth, but two at least.
    pub(crate) fn rounds(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => (full / 5).max(2),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is about the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Times of the same thing.
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

    /// The time that `share` (0 to 1) of the samples keep within.
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

/// Does the same so many times, one after another, and takes the time of each.
///
/// A macro, for the compiler can't tell yet that what awaits an async closure can be spawned.
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

/// The rounds of one figure: each round's own median, and all samples together.
///
/// The median over rounds forgives a round that something else on the machine has spoilt.
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

    /// Of all samples, spoilt rounds included.
    pub(crate) fn p99(&self) -> Duration {
        self.all.p99()
    }
}

/// The middle one.
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
