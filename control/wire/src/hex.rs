//! Lower-case hexadecimal: how ids, fingerprints, hashes and trace contexts are written.

use std::fmt;

/// Displays bytes in lower-case hexadecimal.
///
/// ```
/// assert_eq!(flame_wire::hex::Hex(&[0x00, 0x9a, 0xff]).to_string(), "009aff");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", base16ct::HexDisplay(self.0))
    }
}

/// Reads `N` bytes from exactly `2 * N` lower-case hexadecimal digits; `None` for any other text.
#[must_use]
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let decoded = base16ct::lower::decode(text, &mut bytes).ok()?;
    (decoded.len() == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_a_round_trip() {
        assert_eq!(Hex(&[0x00, 0x9a, 0xff]).to_string(), "009aff");
        assert_eq!(decode("009aff"), Some([0x00, 0x9a, 0xff]));
    }

    #[test]
    fn upper_case_wrong_lengths_and_other_characters_are_rejected() {
        for text in ["009AFF", "009af", "009aff0", "009aff00", "009a", "009afg", "", "0é9af"] {
            assert_eq!(decode::<3>(text), None, "{text}");
        }
    }
}
