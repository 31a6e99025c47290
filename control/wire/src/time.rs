//! Durations as the wire carries them: whole milliseconds.

use std::time::Duration;

/// The longest duration that crosses the wire, in milliseconds: about ten years. A longer one is a
/// mistake, and adding it to a point in time could overflow.
pub const MAX_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// The duration in whole milliseconds, rounded down; `u64::MAX` if it does not fit.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_down_and_saturate() {
        assert_eq!(millis(Duration::from_micros(1_999)), 1);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
