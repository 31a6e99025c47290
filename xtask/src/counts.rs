//! Counts of tests, as in the summary line that Rust's test runner prints for each binary:
//! `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.

use std::fmt;

/// How many tests passed, failed and were ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Counts {
    /// Returns whether no test ran at all.
    pub(crate) fn is_empty(self) -> bool {
        self.passed + self.failed == 0
    }

    /// Reads one line of output. Returns `None` if it is no summary line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let fields = line.trim().strip_prefix("test result: ")?;
        let (verdict, fields) = fields.split_once(". ")?;
        if !matches!(verdict, "ok" | "FAILED") {
            return None;
        }
        let field = |label: &str| {
            fields.split("; ").find_map(|field| field.strip_suffix(label)?.trim().parse().ok())
        };
        Some(Self {
            passed: field("passed")?,
            failed: field("failed")?,
            ignored: field("ignored")?,
        })
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// `N passed, N failed`, and `, N skipped` if tests were ignored.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 {
            write!(f, ", {} skipped", self.ignored)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_names_skipped_tests_only_if_there_are_some() {
        let mut counts = Counts { passed: 7, failed: 1, ignored: 0 };
        assert_eq!(counts.to_string(), "7 passed, 1 failed");
        counts.ignored = 2;
        assert_eq!(counts.to_string(), "7 passed, 1 failed, 2 skipped");
    }
}
