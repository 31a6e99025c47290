//! How the binary logs.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// How log records look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One line of text each.
    Text,
    /// One JSON object on a line each.
    Json,
}

/// How the binary logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// How records look.
    pub format: LogFormat,
    /// The least important records.
    pub level: LevelFilter,
}

/// The text is not a [`LogFormat`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write text or json")]
pub struct InvalidLogFormat;

impl FromStr for LogFormat {
    type Err = InvalidLogFormat;

    fn from_str(text: &str) -> Result<Self, InvalidLogFormat> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(InvalidLogFormat),
        }
    }
}
