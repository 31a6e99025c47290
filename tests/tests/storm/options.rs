//! The storms' own command-line options.

use std::fmt;
use std::time::Duration;

/// How long each storm lasts, and its seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    seconds: u64,
    calls: u64,
    pub(crate) seed: u64,
}

/// How long a storm lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The time, for a storm that ends with it.
    pub(crate) time: Duration,
    /// The number of calls or of strangers, for a storm that ends with them.
    pub(crate) calls: u64,
}

impl Options {
    const SECONDS: u64 = 2;
    const CALLS: u64 = 400;
    const SEED: u64 = 8;

    /// Takes the options out of the arguments, and returns the rest for the test runner. With
    /// `--seconds` or `--calls`, and no `--seed`, the seed is random.
    pub(crate) fn take(
        arguments: impl Iterator<Item = String>,
    ) -> Result<(Self, Vec<String>), String> {
        let (mut seconds, mut calls, mut seed, mut rest) = (None, None, None, Vec::new());
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let taken = match argument.as_str() {
                "--seconds" => &mut seconds,
                "--calls" => &mut calls,
                "--seed" => &mut seed,
                _ => {
                    rest.push(argument);
                    continue;
                }
            };
            let value = arguments.next().unwrap_or_default();
            let number = value.parse::<u64>();
            *taken = Some(
                number.map_err(|_| format!("{argument} takes a whole number, not {value:?}"))?,
            );
        }
        let is_long = seconds.is_some() || calls.is_some();
        let default_seed = || if is_long { rand::random() } else { Self::SEED };
        let seed = seed.unwrap_or_else(default_seed);
        let seconds = seconds.unwrap_or(Self::SECONDS).max(1);
        let calls = calls.unwrap_or(Self::CALLS).max(1);
        Ok((Self { seconds, calls, seed }, rest))
    }

    pub(crate) fn extent(self) -> Extent {
        Extent { time: Duration::from_secs(self.seconds), calls: self.calls }
    }

    /// The extent of the run before, which is shorter.
    pub(crate) fn warm_up(self) -> Extent {
        let Extent { time, calls } = self.extent();
        Extent { time: (time / 4).max(Duration::from_secs(1)), calls: (calls / 4).max(1) }
    }

    /// How to run a storm again, or all of them.
    pub(crate) fn to_repeat(self, storm: &str) -> String {
        let Self { seconds, calls, seed } = self;
        let storm = if storm.is_empty() { String::new() } else { format!("{storm} ") };
        format!("cargo xtask storm {storm}--seconds {seconds} --calls {calls} --seed {seed}")
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, calls, seed } = self;
        write!(
            f,
            "storms of {seconds} s or {calls} calls with seed {seed}; to repeat: {}",
            self.to_repeat("")
        )
    }
}
