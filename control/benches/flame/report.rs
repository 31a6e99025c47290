//! The table that a person reads, and the file that a program does.

mod rows;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::figures::Figures;
use crate::sample::Effort;
use rows::{Aim, ROWS, Row};

/// What the figures were seen on.
pub(crate) struct Machine {
    cpus: usize,
    /// Runnable processes, averaged over the last minute, as the system has it.
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
    /// Writes `target/bench.json` of the workspace.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn save(&self) -> io::Result<()> {
        let path = path();
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&path, self.json())
    }

    /// Keys and numbers, flat, but for what describes the run.
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
            format!("\"aims_missed\": [{}]", missed.join(", ")),
        ];
        // JSON knows no infinity: a figure that is none is left out.
        let finite = self.figures.iter().filter(|(_, value)| value.is_finite());
        fields.extend(finite.map(|(key, value)| format!("{key:?}: {value:.3}")));
        format!("{{\n  {}\n}}\n", fields.join(",\n  "))
    }

    fn is_met(&self, row: &Row) -> Option<bool> {
        let value = self.figures.get(row.key)?;
        let floor = row.floor.and_then(|floor| self.figures.get(floor));
        Some(match row.aim {
            Aim::None => return None,
            Aim::AtMost(limit) => value <= limit,
            Aim::AtLeast(limit) => value >= limit,
            Aim::TimesFloor(limit) => value <= limit * floor?,
            Aim::OverFloor(limit) => value <= limit + floor?,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<44}{:>11}{:>11}{:>8}  {:<18}met",
            "figure", "measured", "floor", "ratio", "aim"
        )?;
        for row in ROWS {
            let Some(value) = self.figures.get(row.key) else { continue };
            let floor = row.floor.and_then(|floor| self.figures.get(floor));
            let ratio = floor.map(|floor| value / floor);
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
                floor.map(number).unwrap_or_default(),
                ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                row.aim.to_string(),
            )?;
        }
        let quick = if self.effort == Effort::Quick { ", --quick: not to be kept" } else { "" };
        write!(
            f,
            "\n{} CPUs, load {} before and {} after{quick}",
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
