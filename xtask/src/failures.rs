//! Finds the failed tests, and why each one failed, in the output of Rust's test runner.
//!
//! ```text
//! failures:
//!
//! ---- name_of_the_test ----
//! test panicked: the reason
//!
//! failures:
//!     name_of_the_test
//! ```

use std::fmt;

/// How many lines of one test are kept. A backtrace may follow the reason.
const LINES_EACH: usize = 12;
/// How many failed tests are described.
const TESTS: usize = 20;

/// The failed tests of a run, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    tests: Vec<FailedTest>,
    /// Whether the next lines describe failed tests.
    is_open: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct FailedTest {
    name: String,
    lines: Vec<String>,
}

impl Failures {
    /// Takes the next line of output.
    pub(crate) fn feed(&mut self, line: &str) {
        let line = line.trim_end();
        if line == "failures:" {
            // The second such line begins the list of names.
            self.is_open = !self.is_open;
        } else if line.starts_with("test result: ") {
            self.is_open = false;
        } else if self.is_open
            && let Some(name) = line.strip_prefix("---- ")
        {
            let name = name.trim_end_matches("----").trim_end().trim_end_matches(" stdout");
            self.tests.push(FailedTest { name: name.to_owned(), lines: Vec::new() });
        } else if self.is_open
            && !line.is_empty()
            && let Some(FailedTest { lines, .. }) = self.tests.last_mut()
            && lines.len() < LINES_EACH
        {
            lines.push(line.to_owned());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    /// Adds the failed tests of a later run.
    pub(crate) fn append(&mut self, later: Self) {
        self.tests.extend(later.tests);
    }
}

/// The names, and under each name the reason.
impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "failed tests:")?;
        for FailedTest { name, lines } in self.tests.iter().take(TESTS) {
            writeln!(f, "  {name}")?;
            for line in lines {
                writeln!(f, "    {line}")?;
            }
        }
        match self.tests.len().saturating_sub(TESTS) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(output: &str) -> Failures {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.feed(line));
        failures
    }

    #[test]
    fn the_name_and_the_reason_of_each_failed_test_are_shown() {
        let output = "test a ... ok\ntest b::c ... FAILED\n\nfailures:\n\n---- b::c ----\n\
                      test panicked: 1 is not 2\n\n---- d stdout ----\nno reason\n\n\
                      failures:\n    b::c\n    d\n\ntest result: FAILED. 1 passed; 2 failed;\n\
                      ---- no test ----\nnothing\n";
        let expected = "failed tests:\n  b::c\n    test panicked: 1 is not 2\n  d\n    no reason\n";
        assert_eq!(failures(output).to_string(), expected);
    }

    #[test]
    fn two_binaries_in_one_output_are_read_alike() {
        let one = |name: &str| {
            format!(
                "failures:\n\n---- {name} ----\nwhy\n\nfailures:\n    {name}\n\ntest result: FAILED.\n"
            )
        };
        let shown = failures(&(one("a") + &one("b"))).to_string();
        assert_eq!(shown, "failed tests:\n  a\n    why\n  b\n    why\n");
    }

    #[test]
    fn long_reasons_and_many_failures_are_cut() {
        let long = format!("failures:\n---- a ----\n{}", "frame\n".repeat(100));
        assert_eq!(failures(&long).to_string().lines().count(), 2 + LINES_EACH);
        let many = format!("failures:\n{}", "---- a ----\n".repeat(TESTS + 3));
        assert!(failures(&many).to_string().ends_with("  a\n  and 3 more\n"));
    }

    #[test]
    fn a_run_without_failures_has_none() {
        assert!(failures("test a ... ok\n\ntest result: ok. 1 passed; 0 failed;\n").is_empty());
    }
}
