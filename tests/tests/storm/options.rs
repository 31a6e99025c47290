//! The storms' own command-line options.

use std::fmt;
use std::time::Duration;

/// How long each storm lasts, and its seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    seconds: u64,
    pub(crate) seed: u64,
}

impl Options {
    const SECONDS: u64 = 2;
    const SEED: u64 = 8;

    /// Takes the options out of the arguments, and returns the rest for the test runner. With
    /// `--seconds` and no `--seed`, the seed is random.
    pub(crate) fn take(
        arguments: impl Iterator<Item = String>,
    ) -> Result<(Self, Vec<String>), String> {
        let (mut seconds, mut seed, mut rest) = (None, None, Vec::new());
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let taken = match argument.as_str() {
                "--seconds" => &mut seconds,
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
        let default_seed = || if seconds.is_some() { rand::random() } else { Self::SEED };
        let seed = seed.unwrap_or_else(default_seed);
        Ok((Self { seconds: seconds.unwrap_or(Self::SECONDS).max(1), seed }, rest))
    }

    pub(crate) fn time(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub(crate) fn warm_up(self) -> Duration {
        (self.time() / 4).max(Duration::from_secs(1))
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, seed } = self;
        write!(
            f,
            "storms of {seconds} s with seed {seed}; to repeat: cargo xtask storm --seconds {seconds} \
             --seed {seed}"
        )
    }
}
