//! The counts, as a table: a row for each, a column for each storm.

use std::fmt;

/// The parts of the table, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Calls,
    Answers,
    Mischief,
    Faults,
    Left,
}

impl Part {
    const ALL: [Part; 5] = [Part::Calls, Part::Answers, Part::Mischief, Part::Faults, Part::Left];

    fn heading(self) -> &'static str {
        match self {
            Part::Calls => "",
            Part::Answers => "answers",
            Part::Mischief => "what happened to them",
            Part::Faults => "what must not be",
            Part::Left => "left over",
        }
    }
}

/// The counts of one storm, in the order in which they came up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column(Vec<(Part, String, u64)>);

impl Column {
    pub(crate) fn add(&mut self, part: Part, what: &str, more: u64) {
        match self.0.iter_mut().find(|(of, name, _)| *of == part && name == what) {
            Some((.., count)) => *count += more,
            None => self.0.push((part, what.to_owned(), more)),
        }
    }

    fn get(&self, part: Part, what: &str) -> Option<u64> {
        let found = self.0.iter().find(|(of, name, _)| *of == part && name == what);
        found.map(|(.., count)| *count)
    }
}

/// All storms that were run.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<(&'static str, Column)>);

impl Report {
    pub(crate) fn add(&mut self, storm: &'static str, column: Column) {
        self.0.push((storm, column));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "{:<40}", "")?;
        for (storm, _) in &self.0 {
            write!(f, "{storm:>11}")?;
        }
        for part in Part::ALL {
            let mut rows: Vec<&str> = Vec::new();
            for (of, name, _) in self.0.iter().flat_map(|(_, column)| &column.0) {
                if *of == part && !rows.contains(&name.as_str()) {
                    rows.push(name);
                }
            }
            if !rows.is_empty() && !part.heading().is_empty() {
                write!(f, "\n{}", part.heading())?;
            }
            let indent = if part.heading().is_empty() { "" } else { "  " };
            for row in rows {
                write!(f, "\n{:<40}", format!("{indent}{row}"))?;
                for (_, column) in &self.0 {
                    match column.get(part, row) {
                        Some(count) => write!(f, "{count:>11}")?,
                        None => write!(f, "{:>11}", "-")?,
                    }
                }
            }
        }
        writeln!(f)
    }
}
