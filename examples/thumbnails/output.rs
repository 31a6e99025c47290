//! Standard output, whose reader may have exited already, as in `thumbnails | head -1`.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// The exit code that a shell reports for a program killed by SIGPIPE: 128 plus the signal's
/// number. Most programs end this way when the reader of their output has exited.
pub(crate) const EXIT_BROKEN_PIPE: u8 = 141;

/// Prints a line. Where `println!` would panic, this returns an error.
pub(crate) fn print_line(line: impl Display) -> anyhow::Result<()> {
    print_line_to(&mut io::stdout().lock(), line)
}

fn print_line_to(out: &mut impl Write, line: impl Display) -> anyhow::Result<()> {
    writeln!(out, "{line}").context("can't write to standard output")
}

/// Whether an error of [`print_line`] only means that the reader of standard output has exited.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_told_apart_from_other_errors() {
        let (reader, mut writer) = io::pipe().unwrap();
        print_line_to(&mut writer, "read").unwrap();
        drop(reader);
        assert!(is_broken_pipe(&print_line_to(&mut writer, "unread").unwrap_err()));

        let full = print_line_to(&mut [0; 2].as_mut_slice(), "long").unwrap_err();
        assert!(!is_broken_pipe(&full), "{full:#}");
        assert!(format!("{full:#}").starts_with("can't write to standard output: "));
    }
}
