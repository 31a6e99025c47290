//! The suite's own command-line options.

use std::ops::Range;

/// The seeds that the test runs.
pub(crate) const DEFAULT_SEEDS: Range<u64> = 0..8;

/// The user's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Options {
    /// Run these seeds, each in a process of its own, and the other tests.
    Seeds(Range<u64>, Vec<String>),
    /// Run one seed in this process, and perhaps print its trace.
    Seed(u64, bool),
}

impl Options {
    /// Reads the arguments. The rest is for the test runner.
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut seeds, mut seed, mut is_printed, mut rest) =
            (DEFAULT_SEEDS, None, false, Vec::new());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--trace" => is_printed = true,
                "--seed" => {
                    let value = arguments.next().unwrap_or_default();
                    let parsed = value.parse();
                    seed =
                        Some(parsed.map_err(|_| format!("--seed takes a number, not {value:?}"))?);
                }
                "--seeds" => {
                    let value = arguments.next().unwrap_or_default();
                    let range = value
                        .split_once("..")
                        .and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
                    seeds = range.ok_or_else(|| format!("--seeds takes A..B, not {value:?}"))?;
                }
                _ => rest.push(argument),
            }
        }
        Ok(match seed {
            Some(seed) => Self::Seed(seed, is_printed),
            None => Self::Seeds(seeds, rest),
        })
    }
}
