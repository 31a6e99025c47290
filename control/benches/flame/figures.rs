//! Measured figures by key, and how they cross from a measuring process to the conductor.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What was measured: key and value; the unit is in the key.
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

    /// Writes the figures to standard output, one a line.
    pub(crate) fn print(&self) {
        let mut lines = String::new();
        for (key, value) in self.iter() {
            // Writing to a string does not fail.
            let _ = writeln!(lines, "{key}={value}");
        }
        print!("{lines}");
    }

    /// Reads what [`print`](Self::print) wrote. Other lines are someone else's.
    pub(crate) fn read(lines: &str) -> Self {
        let pairs = lines.lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            Some((key.to_owned(), value.parse().ok()?))
        });
        Self(pairs.collect())
    }
}
