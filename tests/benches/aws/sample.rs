//! Samples, and their median.

use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

/// How many rounds to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    Full,
    Quick,
}

impl Effort {
    /// The number of rounds, if `full` is the full number. Quick is a fifth, since a round with
    /// many runners takes most of a minute, but at least one.
    pub(crate) fn rounds(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => (full / 5).max(1),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is about the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The runtime of each process of the benchmark, including runners.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The values of one figure: one for each round.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn push_ms(&mut self, time: Duration) {
        self.push(time.as_secs_f64() * 1e3);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The median.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| *sorted.get(place).expect("a sample");
        (at((sorted.len() - 1) / 2) + at(sorted.len() / 2)) / 2.0
    }
}
