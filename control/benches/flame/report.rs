//! The report: a table for people, and a JSON file for programs.

mod rows;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::figures::Figures;
use crate::sample::Effort;
use rows::{ROWS, Row, Target};

/// The machine on which the figures were measured.
pub(crate) struct Machine {
    cpus: usize,
    /// The system's load average of the last minute.
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn now() -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown");
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cpus, load: load.to_owned() }
    }
}

pub(crate) struct Report {
    pub(crate) figures: Figures,
    pub(crate) effort: Effort,
    pub(crate) before: Machine,
    pub(crate) after: Machine,
}

impl Report {
    /// Writes the workspace's `target/bench.json`.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn save(&self) -> io::Result<()> {
        let path = path();
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&path, self.json())
    }

    /// A flat object: fields that describe the run, and a number for each figure.
    fn json(&self) -> String {
        let missed: Vec<String> = ROWS
            .iter()
            .filter(|row| self.is_met(row) == Some(false))
            .map(|row| format!("{:?}", row.key))
            .collect();
        let mut fields = vec![
            format!("\"cpus\": {}", self.before.cpus),
            format!("\"load_before\": {:?}", self.before.load),
            format!("\"load_after\": {:?}", self.after.load),
            format!("\"quick\": {}", self.effort == Effort::Quick),
            format!("\"targets_missed\": [{}]", missed.join(", ")),
        ];
        // JSON has no infinity, so figures that are not finite are left out.
        let finite = self.figures.iter().filter(|(_, value)| value.is_finite());
        fields.extend(finite.map(|(key, value)| format!("{key:?}: {value:.3}")));
        format!("{{\n  {}\n}}\n", fields.join(",\n  "))
    }

    fn is_met(&self, row: &Row) -> Option<bool> {
        let value = self.figures.get(row.key)?;
        let baseline = row.baseline.and_then(|baseline| self.figures.get(baseline));
        Some(match row.target {
            Target::None => return None,
            Target::AtMost(limit) => value <= limit,
            Target::AtLeast(limit) => value >= limit,
            Target::TimesBaseline(limit) => value <= limit * baseline?,
            Target::OverBaseline(limit) => value <= limit + baseline?,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<44}{:>11}{:>11}{:>8}  {:<18}met",
            "figure", "measured", "baseline", "ratio", "target"
        )?;
        for row in ROWS {
            let Some(value) = self.figures.get(row.key) else { continue };
            let baseline = row.baseline.and_then(|baseline| self.figures.get(baseline));
            let ratio = baseline.map(|baseline| value / baseline);
            let met = match self.is_met(row) {
                None => "",
                Some(true) => "yes",
                Some(false) => "NO",
            };
            writeln!(
                f,
                "{:<44}{:>11}{:>11}{:>8}  {:<18}{met}",
                row.key,
                number(value),
                baseline.map(number).unwrap_or_default(),
                ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                row.target.to_string(),
            )?;
        }
        let quick = if self.effort == Effort::Quick {
            "; measured with --quick: not precise enough to keep"
        } else {
            ""
        };
        write!(
            f,
            "\n{} CPUs, load average {} before and {} after{quick}",
            self.before.cpus, self.before.load, self.after.load
        )
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        ..10.0 => format!("{value:.2}"),
        ..1_000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn path() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).join("target/bench.json")
}
