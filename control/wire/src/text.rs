//! Text of bounded length: what an app's errors and logs say is not ours to choose.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde::{Serialize, Serializer};

/// Stands for what was cut off.
const ELLIPSIS: &str = "…";

/// `text`, cut at a character's boundary to at most `max` bytes.
pub(crate) fn bounded(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(max.saturating_sub(ELLIPSIS.len()));
    let kept = text.get(..end).unwrap_or_default();
    if max < ELLIPSIS.len() { Cow::Borrowed(kept) } else { Cow::Owned(format!("{kept}{ELLIPSIS}")) }
}

/// What `value` displays, cut to at most `max` bytes. Stops formatting there, so that a `Display`
/// which writes without end does no harm; one that fails leaves what it had written.
pub(crate) fn of(value: &dyn fmt::Display, max: usize) -> String {
    let mut out = Bounded { text: String::new(), max };
    // An error means that the limit is reached, or that the value itself gave up.
    let _ = write!(out, "{value}");
    bounded(&out.text, max).into_owned()
}

/// Serializes a text, cut to at most `MAX` bytes.
pub(crate) fn at_most<S: Serializer, const MAX: usize>(
    text: &str,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.serialize_str(&bounded(text, MAX))
}

/// Serializes a text that may be missing, cut to at most `MAX` bytes.
pub(crate) fn maybe_at_most<S: Serializer, const MAX: usize>(
    text: &Option<String>,
    to: S,
) -> Result<S::Ok, S::Error> {
    text.as_deref().map(|text| bounded(text, MAX)).serialize(to)
}

struct Bounded {
    text: String,
    max: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // One more than the limit shows that something is missing.
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
    fn short_text_is_left_as_it_is() {
        assert_eq!(bounded("abc", 3), "abc");
        assert_eq!(of(&"abc", 3), "abc");
    }

    #[test]
    fn long_text_is_cut_between_characters_within_the_limit() {
        for max in 0..40 {
            let cut = bounded("ünïcödé 文字 and more of it, with an end", max);
            assert!(cut.len() <= max, "{max}: {cut}");
            assert_eq!(of(&"ünïcödé 文字 and more of it, with an end", max), cut);
        }
        assert_eq!(bounded("abcdefgh", 7), "abcd…");
    }

    #[test]
    fn a_display_without_end_is_stopped() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("more ")?;
                }
            }
        }
        assert_eq!(of(&Endless, 12), "more more…");
    }
}
