//! Runs the tests of the AWS emulator, which is written in Python.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::cargo;
use crate::counts::Counts;

/// Runs the tests, and passes their output on.
pub(crate) fn test() -> Result<Counts, String> {
    println!("$ cd localstack/emulator && python3 -m unittest");
    let mut child = Command::new("python3")
        .args(["-m", "unittest"])
        .current_dir(cargo::root().join("localstack/emulator"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            format!("`python3` can't be started ({error}): install Python 3.11 or newer")
        })?;
    let mut ran = 0;
    for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line.map_err(|error| {
            format!("the output of `python3 -m unittest` can't be read: {error}")
        })?;
        eprintln!("{line}");
        ran = tests_in(&line).unwrap_or(ran);
    }
    let status = child.wait().map_err(|error| format!("`python3 -m unittest`: {error}"))?;
    if !status.success() {
        return Err(format!("`python3 -m unittest` failed with {status}"));
    }
    if ran == 0 {
        return Err("`python3 -m unittest` ran no test".to_owned());
    }
    Ok(Counts { passed: ran, ..Counts::default() })
}

/// Reads a line like `Ran 96 tests in 35.902s`.
fn tests_in(line: &str) -> Option<u64> {
    let (number, rest) = line.strip_prefix("Ran ")?.split_once(' ')?;
    if rest.starts_with("test") { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_line_gives_the_number_of_tests() {
        assert_eq!(tests_in("Ran 96 tests in 35.902s"), Some(96));
        assert_eq!(tests_in("Ran 1 test in 0.001s"), Some(1));
        assert_eq!(tests_in("Ran out of 3 tests"), None);
        assert_eq!(tests_in("OK"), None);
    }
}
