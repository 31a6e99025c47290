//! Measured figures by key, and their format between a measuring process and the coordinator.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The measured values by key. Each key ends with its unit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(crate) fn set(&mut self, key: impl Into<String>, value: f64) {
        self.0.insert(key.into(), value);
    }

    pub(crate) fn get(&self, key: &str) -> Option<f64> {
        self.0.get(key).copied()
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value))
    }

    /// Prints the figures, one on each line.
    pub(crate) fn print(&self) {
        let mut lines = String::new();
        for (key, value) in self.iter() {
            // Writing to a string can't fail.
            let _ = writeln!(lines, "{key}={value}");
        }
        print!("{lines}");
    }

    /// Reads the output of [`print`](Self::print), and ignores other lines.
    pub(crate) fn read(lines: &str) -> Self {
        let pairs = lines.lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            Some((key.to_owned(), value.parse().ok()?))
        });
        Self(pairs.collect())
    }
}
