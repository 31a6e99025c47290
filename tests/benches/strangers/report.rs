//! The report: a table for people, and the figures for the JSON file of all benchmarks.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use flame_tests::save_bench_figures;
use serde_json::json;

use crate::crowd::CrowdCounts;

/// The largest ratio of the p99 beside strangers to the p99 alone.
const TARGET: f64 = 2.0;

/// The times of calls.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

/// The figures of all targets.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: BTreeMap<String, f64>,
    targets_missed: Vec<String>,
    pub(crate) admitted: u64,
}

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The time within which this many of a hundred samples are, in microseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e6
    }
}

impl Report {
    /// Adds the calls of one target.
    pub(crate) fn add_samples(&mut self, name: &str, alone: &Samples, beside: &Samples) {
        for percent in [50, 99] {
            let (alone, beside) = (alone.percentile(percent), beside.percentile(percent));
            let figure = format!("call_p{percent}_us");
            self.set(format!("{figure}_without_strangers_{name}"), alone);
            self.set(format!("{figure}_beside_strangers_{name}"), beside);
            let ratio = format!("call_p{percent}_beside_strangers_over_without_{name}");
            if percent == 99 && beside / alone > TARGET {
                self.targets_missed.push(ratio.clone());
            }
            self.set(ratio, beside / alone);
        }
    }

    /// Adds the strangers of one round.
    pub(crate) fn add_crowd(&mut self, name: &str, counts: CrowdCounts) {
        let connected = u32::try_from(counts.connected).unwrap_or(u32::MAX);
        *self.figures.entry(format!("strangers_{name}")).or_default() += f64::from(connected);
        self.admitted += counts.admitted;
    }

    fn set(&mut self, key: String, value: f64) {
        self.figures.insert(key, (value * 1e3).round() / 1e3);
    }

    /// Adds the figures to `target/bench.json` of the workspace.
    ///
    /// # Errors
    /// Those of [`save_bench_figures`].
    pub(crate) fn save(&self) -> io::Result<()> {
        let figures = self.figures.iter().map(|(key, value)| (key.clone(), json!(value)));
        save_bench_figures(figures.collect(), self.targets_missed.iter().cloned())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.figures {
            let missed = if self.targets_missed.contains(key) { "  NO" } else { "" };
            writeln!(f, "{key:<56}{value:>12.2}{missed}")?;
        }
        write!(f, "strangers that got in: {}", self.admitted)
    }
}
