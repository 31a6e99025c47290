//! The settings, from the function's environment.

use std::fmt;
use std::time::Duration;

/// The cluster's name or ARN.
pub(crate) const CLUSTER: &str = "FLAME_REAPER_CLUSTER";
/// The minimum age of a task that is stopped, in seconds.
pub(crate) const MIN_AGE: &str = "FLAME_REAPER_MIN_AGE_SECONDS";
/// The time between the two looks, in seconds.
pub(crate) const PAUSE: &str = "FLAME_REAPER_PAUSE_SECONDS";
/// Set by Lambda.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// A week: a longer time is a mistake.
const MAX_SECONDS: u64 = 7 * 24 * 60 * 60;
/// Lambda ends an invocation after 15 min, and the looks themselves take time, too.
const MAX_PAUSE_SECONDS: u64 = 10 * 60;

/// The settings of a reaper.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) cluster: String,
    pub(crate) min_age: Duration,
    pub(crate) pause: Duration,
}

/// All settings that can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadSettings(Vec<String>);

impl std::error::Error for BadSettings {}

impl fmt::Display for BadSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flame-reaper can't start with this environment:")?;
        self.0.iter().try_for_each(|bad| write!(f, "\n  {bad}"))
    }
}

impl Settings {
    /// Reads and checks all settings. An empty variable counts as not set.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadSettings> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let mut bad = Vec::new();
        if set(RUNTIME_API).is_none() {
            bad.push(format!("{RUNTIME_API}: not set; this program is a Lambda function"));
        }
        let cluster = set(CLUSTER).unwrap_or_else(|| {
            bad.push(format!("{CLUSTER}: not set; write the name or ARN of an ECS cluster"));
            String::new()
        });
        let mut seconds = |name: &str, default: u64, max: u64| {
            let Some(text) = set(name) else { return Duration::from_secs(default) };
            match text.trim().parse() {
                Ok(seconds @ 0..) if seconds <= max => Duration::from_secs(seconds),
                _ => {
                    bad.push(format!("{name}: {text:?}; write whole seconds, at most {max}"));
                    Duration::ZERO
                }
            }
        };
        let min_age = seconds(MIN_AGE, 600, MAX_SECONDS);
        let pause = seconds(PAUSE, 60, MAX_PAUSE_SECONDS);
        if bad.is_empty() { Ok(Self { cluster, min_age, pause }) } else { Err(BadSettings(bad)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let found = |name: &str| {
            let variable = variables.iter().find(|(known, _)| *known == name);
            variable.map(|(_, value)| (*value).to_owned())
        };
        Settings::read(found).map_err(|bad| bad.to_string())
    }

    #[test]
    fn only_the_cluster_has_no_default() {
        let settings = read(&[(RUNTIME_API, "127.0.0.1:9001"), (CLUSTER, "main"), (PAUSE, " ")]);
        let (min_age, pause) = (Duration::from_secs(600), Duration::from_secs(60));
        assert_eq!(settings, Ok(Settings { cluster: "main".to_owned(), min_age, pause }));
        let settings =
            read(&[(RUNTIME_API, "x"), (CLUSTER, "main"), (MIN_AGE, "3600"), (PAUSE, "0")])
                .unwrap();
        assert_eq!(settings.min_age, Duration::from_secs(3600));
        assert_eq!(settings.pause, Duration::ZERO);
    }

    #[test]
    fn one_error_names_every_bad_setting() {
        let bad = read(&[(MIN_AGE, "10m"), (PAUSE, "601")]).unwrap_err();
        for part in [
            "AWS_LAMBDA_RUNTIME_API: not set",
            "FLAME_REAPER_CLUSTER: not set",
            "FLAME_REAPER_MIN_AGE_SECONDS: \"10m\"",
            "FLAME_REAPER_PAUSE_SECONDS: \"601\"; write whole seconds, at most 600",
        ] {
            assert!(bad.contains(part), "{part}: {bad}");
        }
        for text in ["-1", "1.5", "604801", "99999999999999999999"] {
            let variables = [(RUNTIME_API, "x"), (CLUSTER, "main"), (MIN_AGE, text)];
            assert!(read(&variables).is_err(), "{text}");
        }
    }
}
