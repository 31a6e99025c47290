//! The report: a table of counts with a column for each storm.

use std::fmt;

/// The sections of the table, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Calls,
    Answers,
    Disruptions,
    Violations,
    Leftovers,
}

impl Section {
    const ALL: [Section; 5] = [
        Section::Calls,
        Section::Answers,
        Section::Disruptions,
        Section::Violations,
        Section::Leftovers,
    ];

    fn heading(self) -> &'static str {
        match self {
            Section::Calls => "",
            Section::Answers => "answers",
            Section::Disruptions => "disruptions",
            Section::Violations => "must not happen",
            Section::Leftovers => "left over",
        }
    }
}

/// The counts of one storm, in the order of their first entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column(Vec<(Section, String, u64)>);

impl Column {
    pub(crate) fn add(&mut self, section: Section, name: &str, more: u64) {
        match self.0.iter_mut().find(|row| row.0 == section && row.1 == name) {
            Some((.., count)) => *count += more,
            None => self.0.push((section, name.to_owned(), more)),
        }
    }

    fn get(&self, section: Section, name: &str) -> Option<u64> {
        let found = self.0.iter().find(|row| row.0 == section && row.1 == name);
        found.map(|(.., count)| *count)
    }
}

/// The columns of all storms that have run.
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
        write!(f, "{:<56}", "")?;
        for (storm, _) in &self.0 {
            write!(f, "{storm:>11}")?;
        }
        for section in Section::ALL {
            let mut rows: Vec<&str> = Vec::new();
            for (of, name, _) in self.0.iter().flat_map(|(_, column)| &column.0) {
                if *of == section && !rows.contains(&name.as_str()) {
                    rows.push(name);
                }
            }
            if !rows.is_empty() && !section.heading().is_empty() {
                write!(f, "\n{}", section.heading())?;
            }
            let indent = if section.heading().is_empty() { "" } else { "  " };
            for row in rows {
                write!(f, "\n{:<56}", format!("{indent}{row}"))?;
                for (_, column) in &self.0 {
                    match column.get(section, row) {
                        Some(count) => write!(f, "{count:>11}")?,
                        None => write!(f, "{:>11}", "-")?,
                    }
                }
            }
        }
        writeln!(f)
    }
}
