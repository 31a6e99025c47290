//! Standard output, whose reader may have gone before all is said: `| head -1`.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// What a shell shows of a program that SIGPIPE has ended, 128 and the signal's number: the end of
/// most programs that nobody reads any more.
pub(crate) const NOBODY_READS: u8 = 141;

/// Prints a line. Where `println!` would panic, this is an error.
pub(crate) fn say(line: impl Display) -> anyhow::Result<()> {
    say_to(&mut io::stdout().lock(), line)
}

fn say_to(out: &mut impl Write, line: impl Display) -> anyhow::Result<()> {
    writeln!(out, "{line}").context("standard output can't be written")
}

/// Whether an error is that of [`say`], and says only that nobody reads any more.
pub(crate) fn is_unread(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_is_told_from_what_is_really_wrong() {
        let (reader, mut writer) = io::pipe().unwrap();
        say_to(&mut writer, "read").unwrap();
        drop(reader);
        assert!(is_unread(&say_to(&mut writer, "unread").unwrap_err()));

        let full = say_to(&mut [0; 2].as_mut_slice(), "long").unwrap_err();
        assert!(!is_unread(&full), "{full:#}");
        assert!(format!("{full:#}").starts_with("standard output can't be written: "));
    }
}
