//! Texts for a terminal. Pure.

/// The text on one line, without characters that could change the terminal or the direction of the
/// text after them.
pub(crate) fn clean(text: &str) -> String {
    let is_foreign =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_foreign(c) { ' ' } else { c }).collect()
}

/// A duration in milliseconds, in short.
pub(crate) fn duration(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{ms:.2} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 60_000.0 => format!("{:.2} s", ms / 1e3),
        ms if ms < 3_600_000.0 => {
            format!("{:.0} min {:02.0} s", (ms / 6e4).floor(), ms % 6e4 / 1e3)
        }
        ms => format!("{:.0} h {:02.0} min", (ms / 36e5).floor(), (ms % 36e5 / 6e4).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{9b}d\u{202e}e"), "a [2Jb c d e");
    }

    #[test]
    fn durations_are_short() {
        let texts = [0.05, 7.0, 999.4, 1_250.0, 61_000.0, 3_720_000.0].map(duration);
        assert_eq!(texts, ["0.05 ms", "7 ms", "999 ms", "1.25 s", "1 min 01 s", "1 h 02 min"]);
    }
}
