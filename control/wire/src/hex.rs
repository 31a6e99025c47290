//! Lower-case hexadecimal, as ids, fingerprints and trace contexts are written.

use std::fmt;

/// Shows bytes in hexadecimal.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The `N` bytes that `text` shows in lower case; `None` where it is anything else.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut out = [0; N];
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_their_hex() {
        assert_eq!(Hex(&[0x00, 0x9a, 0xff]).to_string(), "009aff");
        assert_eq!(decode("009aff"), Some([0x00, 0x9a, 0xff]));
    }

    #[test]
    fn upper_case_other_lengths_and_other_characters_are_no_hex() {
        for text in ["009AFF", "009af", "009aff0", "009aff00", "009afg", "", "0é9af"] {
            assert_eq!(decode::<3>(text), None, "{text}");
        }
    }
}
