//! How long, and which.

use std::fmt;
use std::time::Duration;

/// The options of the command line that are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// Of each storm.
    seconds: u64,
    pub(crate) seed: u64,
}

impl Options {
    const SECONDS: u64 = 2;
    const SEED: u64 = 8;

    /// Takes them out of the arguments; the rest is for the test runner. A long storm whose seed is
    /// not given is another one each time.
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
            *taken = Some(number.map_err(|_| format!("{argument} needs a number, not {value:?}"))?);
        }
        let other_seed = || if seconds.is_some() { rand::random() } else { Self::SEED };
        let seed = seed.unwrap_or_else(other_seed);
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
