//! Reads the output of Rust's test runner while it is passed on.

use crate::counts::Counts;
use crate::failures::Failures;

/// The results of tests.
#[derive(Debug, Default)]
pub(crate) struct TestResults {
    pub(crate) counts: Counts,
    pub(crate) failures: Failures,
}

impl TestResults {
    /// Adds the results of later tests.
    pub(crate) fn append(&mut self, later: Self) {
        self.counts += later.counts;
        self.failures.append(later.failures);
    }
}

/// Splits output into lines, and collects the results in them.
#[derive(Debug, Default)]
pub(crate) struct TestOutput {
    line: Vec<u8>,
    results: TestResults,
}

impl TestOutput {
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

    /// Returns the results at the end of the output.
    pub(crate) fn finish(mut self) -> TestResults {
        self.end_line();
        self.results
    }

    fn end_line(&mut self) {
        let line = without_colours(&String::from_utf8_lossy(&self.line));
        if let Some(counts) = Counts::parse(&line) {
            self.results.counts += counts;
        }
        self.results.failures.feed(&line);
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
        let mut output = TestOutput::default();
        for piece in pieces {
            output.feed(piece.as_bytes());
        }
        output.finish().counts
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
        let mut output = TestOutput::default();
        output.feed(&[0xff, 0x1b, b'[']);
        output.feed(&vec![b'x'; 1 << 20]);
        assert!(output.line.len() <= TestOutput::LONGEST_LINE);
        output.feed(format!("\n{FAILED}").as_bytes());
        assert_eq!(output.finish().counts, Counts { passed: 4, failed: 2, ignored: 0 });
    }
}
