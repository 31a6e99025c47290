//! The report: a table for people, and the figures for the JSON file of all benchmarks.

use std::fmt;
use std::io;

use flame_tests::save_bench_figures;
use serde_json::{Map, Value, json};

use crate::sample::Effort;

/// The target of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    None,
    Below(f64),
}

/// A median, optionally with the baseline it is compared with. The unit is in the key.
#[derive(Debug)]
pub(crate) struct Figure {
    key: String,
    value: f64,
    rounds: usize,
    baseline: Option<(String, f64)>,
    target: Target,
}

impl Figure {
    /// The median of `rounds` rounds.
    pub(crate) fn new(key: impl Into<String>, value: f64, rounds: usize) -> Self {
        Self { key: key.into(), value, rounds, baseline: None, target: Target::None }
    }

    /// Adds the baseline, measured in as many rounds.
    pub(crate) fn beside(mut self, key: impl Into<String>, value: f64) -> Self {
        self.baseline = Some((key.into(), value));
        self
    }

    pub(crate) fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::None => None,
            Target::Below(limit) => Some(self.value < limit),
        }
    }
}

pub(crate) struct Report {
    figures: Vec<Figure>,
    effort: Effort,
    load_before: String,
}

impl Report {
    /// An empty report, created before the measurements.
    pub(crate) fn new(effort: Effort) -> Self {
        Self { figures: Vec::new(), effort, load_before: load() }
    }

    /// Prints what is measured next, since it takes minutes.
    pub(crate) fn measuring(&self, what: &str) {
        eprintln!("measuring {what} (load {})", load());
    }

    pub(crate) fn extend(&mut self, figures: Vec<Figure>) {
        self.figures.extend(figures);
    }

    /// Adds the figures to `target/bench.json` of the workspace.
    ///
    /// # Errors
    /// Those of [`save_bench_figures`].
    pub(crate) fn save(&self) -> io::Result<()> {
        let missed = self.figures.iter().filter(|figure| figure.is_met() == Some(false));
        save_bench_figures(self.as_json(), missed.map(|figure| figure.key.clone()))
    }

    fn as_json(&self) -> Map<String, Value> {
        let mut all = Map::new();
        all.insert("aws_load_before".to_owned(), json!(self.load_before));
        all.insert("aws_load_after".to_owned(), json!(load()));
        all.insert("aws_quick".to_owned(), json!(self.effort == Effort::Quick));
        for figure in &self.figures {
            all.insert(figure.key.clone(), thousandths(figure.value));
            all.insert(format!("{}_n", figure.key), json!(figure.rounds));
            if let Some((key, value)) = &figure.baseline {
                all.insert(key.clone(), thousandths(*value));
            }
        }
        all
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["measured", "baseline", "ratio", "n"];
        writeln!(
            f,
            "{:<32}{:>11}{:>11}{:>8}{:>5}  {:<8}met",
            "figure, on AWS emulated", head[0], head[1], head[2], head[3], "target"
        )?;
        for figure in &self.figures {
            let baseline = figure.baseline.as_ref().map(|(_, value)| *value);
            let ratio = baseline.map(|baseline| format!("{:.2}", figure.value / baseline));
            let target = match figure.target {
                Target::None => String::new(),
                Target::Below(limit) => format!("< {limit}"),
            };
            let met = match figure.is_met() {
                None => "",
                Some(true) => "yes",
                Some(false) => "NO",
            };
            writeln!(
                f,
                "{:<32}{:>11.2}{:>11}{:>8}{:>5}  {target:<8}{met}",
                figure.key,
                figure.value,
                baseline.map(|baseline| format!("{baseline:.2}")).unwrap_or_default(),
                ratio.unwrap_or_default(),
                figure.rounds,
            )?;
        }
        let quick =
            if self.effort == Effort::Quick { ", --quick: do not keep these figures" } else { "" };
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        write!(f, "\n{cpus} CPUs, load {} before and {} after{quick}", self.load_before, load())
    }
}

/// Rounds to three decimal places. NaN and infinity become null in JSON.
fn thousandths(value: f64) -> Value {
    json!((value * 1e3).round() / 1e3)
}

/// The system's load average over the last minute.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}
