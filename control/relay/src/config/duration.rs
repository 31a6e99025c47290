//! Durations as people write them.

use std::time::Duration;

use super::MAX_TIME;

/// Reads `500ms`, `10s`, `5m` or `2h`; a number without a unit is rejected, because it is
/// ambiguous.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err("write a number and a unit: 500ms, 10s, 5m or 2h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number before the unit".to_owned())?;
    let duration = Duration::from_millis(number.saturating_mul(unit_ms));
    if duration.is_zero() || duration > MAX_TIME {
        return Err("write a duration from 1ms to 168h".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "10", "s", "-1s", "1.5s", "0s", "169h", "99999999999999999999s", "1 s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
