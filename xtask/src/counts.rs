//! Counts tests by the summary line that Rust's test runner prints for each binary.
//!
//! [`Counter`] takes the output in pieces of any size, and adds up every line like
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
    fn parse(line: &str) -> Option<Self> {
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

/// Splits output into lines, and adds up the summary lines.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    line: Vec<u8>,
    counts: Counts,
}

impl Counter {
    /// Longer than any summary line. The rest of a longer line is dropped.
    const LONGEST_LINE: usize = 1024;

    /// Takes the next piece of output, which may end anywhere.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < Self::LONGEST_LINE {
                self.line.push(byte);
            }
        }
    }

    /// Returns the sum at the end of the output.
    pub(crate) fn finish(mut self) -> Counts {
        self.end_line();
        self.counts
    }

    fn end_line(&mut self) {
        let line = without_colours(&String::from_utf8_lossy(&self.line));
        if let Some(counts) = Counts::parse(&line) {
            self.counts += counts;
        }
        self.line.clear();
    }
}

/// Removes terminal escape sequences (`ESC [ ... letter`).
pub(crate) fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = escaped.find(|c: char| c.is_ascii_alphabetic()).map_or("", |at| &escaped[at + 1..]);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; \
                      1 filtered out; finished in 0.02s";
    const FAILED: &str = "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; \
                          0 filtered out; finished in 1.50s";

    fn count(pieces: &[&str]) -> Counts {
        let mut counter = Counter::default();
        for piece in pieces {
            counter.feed(piece.as_bytes());
        }
        counter.finish()
    }

    #[test]
    fn every_summary_line_is_added_up() {
        let output = format!("running 15 tests\ntest a ... ok\n\n{OK}\n\nrunning 6\n{FAILED}\n");
        assert_eq!(count(&[&output]), Counts { passed: 16, failed: 2, ignored: 3 });
    }

    #[test]
    fn the_output_may_be_split_anywhere() {
        for at in 0..OK.len() {
            let (left, right) = OK.split_at(at);
            let expected = Counts { passed: 12, failed: 0, ignored: 3 };
            assert_eq!(count(&["first\n", left, right]), expected, "split at {at}");
        }
    }

    #[test]
    fn colours_and_carriage_returns_do_not_hide_a_summary_line() {
        let coloured = OK.replace("ok", "\u{1b}[32mok\u{1b}[m");
        assert_eq!(count(&[&coloured, "\r\n"]).passed, 12);
    }

    #[test]
    fn similar_lines_are_not_counted() {
        for line in [
            "test result: good. 1 passed; 0 failed; 0 ignored",
            "the test result: ok. 1 passed; 0 failed; 0 ignored",
            "test result: ok. many passed; 0 failed; 0 ignored",
            "test result: ok. 1 passed",
            "test result: ok.",
            "",
        ] {
            assert!(count(&[line, "\n"]).is_empty(), "{line}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_and_endless_lines_are_ignored() {
        let mut counter = Counter::default();
        counter.feed(&[0xff, 0x1b, b'[']);
        counter.feed(&vec![b'x'; 1 << 20]);
        assert!(counter.line.len() <= Counter::LONGEST_LINE);
        counter.feed(format!("\n{FAILED}").as_bytes());
        assert_eq!(counter.finish(), Counts { passed: 4, failed: 2, ignored: 0 });
    }

    #[test]
    fn the_total_names_skipped_tests_only_if_there_are_some() {
        let mut counts = Counts { passed: 7, failed: 1, ignored: 0 };
        assert_eq!(counts.to_string(), "7 passed, 1 failed");
        counts.ignored = 2;
        assert_eq!(counts.to_string(), "7 passed, 1 failed, 2 skipped");
    }
}
