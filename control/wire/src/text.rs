//! Text of bounded length: an app's errors and log lines may be as long as the app likes.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde::{Serialize, Serializer};

/// Marks the place where a text was cut off.
const ELLIPSIS: &str = "…";

/// `text`, cut off between two characters to at most `max` bytes.
pub(crate) fn bounded(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(max.saturating_sub(ELLIPSIS.len()));
    let kept = text.get(..end).unwrap_or_default();
    if max < ELLIPSIS.len() { Cow::Borrowed(kept) } else { Cow::Owned(format!("{kept}{ELLIPSIS}")) }
}

/// The text that `value` displays, cut off to at most `max` bytes. Formatting stops at the limit,
/// so a `Display` that never ends does no harm. If `Display` fails, the text that it has written is
/// kept.
pub(crate) fn display(value: &dyn fmt::Display, max: usize) -> String {
    let mut out = TruncatingWriter { text: String::new(), max };
    // An error means that the limit was reached, or that the value's own `Display` failed.
    let _ = write!(out, "{value}");
    bounded(&out.text, max).into_owned()
}

/// Serializes a text, cut off to at most `MAX` bytes.
pub(crate) fn at_most<S: Serializer, const MAX: usize>(
    text: &str,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.serialize_str(&bounded(text, MAX))
}

/// Serializes an optional text, cut off to at most `MAX` bytes.
pub(crate) fn maybe_at_most<S: Serializer, const MAX: usize>(
    text: &Option<String>,
    to: S,
) -> Result<S::Ok, S::Error> {
    text.as_deref().map(|text| bounded(text, MAX)).serialize(to)
}

/// Accepts up to `max` bytes, and fails then.
struct TruncatingWriter {
    text: String,
    max: usize,
}

impl Write for TruncatingWriter {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // One byte beyond the limit shows that the text has to be cut off.
        let room = (self.max + 1).saturating_sub(self.text.len());
        if part.len() <= room {
            self.text.push_str(part);
            return Ok(());
        }
        let end = part.ceil_char_boundary(room);
        self.text.push_str(part.get(..end).unwrap_or_default());
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_unchanged() {
        assert_eq!(bounded("abc", 3), "abc");
        assert_eq!(display(&"abc", 3), "abc");
    }

    #[test]
    fn long_text_is_cut_off_between_characters_within_the_limit() {
        for max in 0..40 {
            let cut = bounded("ünïcödé 文字 and more of it, with an end", max);
            assert!(cut.len() <= max, "{max}: {cut}");
            assert_eq!(display(&"ünïcödé 文字 and more of it, with an end", max), cut);
        }
        assert_eq!(bounded("abcdefgh", 7), "abcd…");
    }

    #[test]
    fn a_display_that_never_ends_is_stopped() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("more ")?;
                }
            }
        }
        assert_eq!(display(&Endless, 12), "more more…");
    }
}
