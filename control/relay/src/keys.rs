//! The keys with which parents authenticate.
//!
//! Several keys may be valid at once, so that a key can be rotated: add the new one, move the
//! parents to it, remove the old one. The relay keeps only the SHA-256 of each key. It compares the
//! digest of a presented key with all of them, each in constant time.

use std::collections::BTreeSet;

use aws_lc_rs::{constant_time, digest};
use zeroize::Zeroizing;

/// The shortest key, in characters. A random key of this length can't be guessed.
pub const MIN_KEY: usize = 32;

/// Identifies a key while the process runs: the number of the key in the order in which the process
/// has seen it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId(pub(crate) u32);

/// Keys as their text was read from a file or from the environment. Overwritten when dropped.
pub struct KeyTexts(Vec<Zeroizing<String>>);

impl std::fmt::Debug for KeyTexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyTexts({})", self.0.len())
    }
}

/// Why a text does not contain keys. Never shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no key.
    #[error("there is no key")]
    Empty,
    /// A key is too short.
    #[error(
        "key number {number} has {length} characters, but a key needs at least {MIN_KEY}; for \
         example, use the output of `openssl rand -hex 32`"
    )]
    TooShort {
        /// Which one, counted from 1.
        number: usize,
        /// Its length.
        length: usize,
    },
    /// A key can't be sent in an HTTP header.
    #[error("key number {number} contains a character other than visible ASCII")]
    InvalidCharacter {
        /// Which one, counted from 1.
        number: usize,
    },
}

impl KeyTexts {
    /// No keys.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads keys that are separated by commas, spaces or line breaks. Lines that begin with `#`
    /// are comments.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let keys: Vec<_> = lines
            .flat_map(|line| line.split([',', ' ', '\t']))
            .filter(|key| !key.is_empty())
            .map(|key| Zeroizing::new(key.to_owned()))
            .collect();
        for (key, number) in keys.iter().zip(1..) {
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(KeyError::InvalidCharacter { number });
            }
            if key.len() < MIN_KEY {
                return Err(KeyError::TooShort { number, length: key.len() });
            }
        }
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Self(keys)) }
    }
}

/// The digests of the valid keys.
pub struct KeyRing {
    keys: Vec<(KeyId, KeyDigest)>,
    last_id: u32,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len())
    }
}

impl KeyRing {
    /// These keys are valid.
    #[must_use]
    pub fn new(texts: &KeyTexts) -> Self {
        let mut ring = Self { keys: Vec::new(), last_id: 0 };
        let _ = ring.replace(texts);
        ring
    }

    /// Makes exactly these keys valid, and returns the keys that no longer are.
    #[must_use]
    pub fn replace(&mut self, texts: &KeyTexts) -> Vec<KeyId> {
        let digests: BTreeSet<_> = texts.0.iter().map(|key| digest_of(key.as_bytes())).collect();
        let (kept, revoked): (Vec<_>, Vec<_>) =
            self.keys.drain(..).partition(|(_, digest)| digests.contains(digest));
        self.keys = kept;
        for digest in digests {
            if !self.keys.iter().any(|(_, kept)| *kept == digest) {
                self.last_id += 1;
                self.keys.push((KeyId(self.last_id), digest));
            }
        }
        revoked.into_iter().map(|(id, _)| id).collect()
    }

    /// How many keys are valid.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// The key that this text is. Takes the same time for each text of the same length.
    #[must_use]
    pub fn find(&self, presented: &[u8]) -> Option<KeyId> {
        let presented = digest_of(presented);
        let mut found = None;
        for (id, digest) in &self.keys {
            if constant_time::verify_slices_are_equal(digest, &presented).is_ok() {
                found = Some(*id);
            }
        }
        found
    }
}

type KeyDigest = [u8; 32];

fn digest_of(key: &[u8]) -> KeyDigest {
    let mut bytes = [0; 32];
    // Both are 32 bytes long.
    for (to, from) in bytes.iter_mut().zip(digest::digest(&digest::SHA256, key).as_ref()) {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccc";

    fn texts(keys: &[&str]) -> KeyTexts {
        KeyTexts::parse(&keys.join(",")).unwrap()
    }

    #[test]
    fn each_valid_key_is_found_and_no_other() {
        let ring = KeyRing::new(&texts(&[A, B]));
        let (a, b) = (ring.find(A.as_bytes()), ring.find(B.as_bytes()));
        assert!(a.is_some() && b.is_some() && a != b);
        for other in ["", "a", C, &A[1..], &format!("{A}a")] {
            assert_eq!(ring.find(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn a_key_that_stays_keeps_its_id_and_a_key_that_is_removed_is_reported() {
        let mut ring = KeyRing::new(&texts(&[A, B]));
        let (a, b) = (ring.find(A.as_bytes()), ring.find(B.as_bytes()));
        assert_eq!(ring.replace(&texts(&[C, B])), [a.unwrap()]);
        assert_eq!(ring.find(A.as_bytes()), None);
        assert_eq!(ring.find(B.as_bytes()), b);
        let c = ring.find(C.as_bytes());
        assert!(c.is_some() && c != a && c != b);
    }

    #[test]
    fn a_file_of_keys_may_have_lines_and_comments() {
        let text = format!("# since May\n{A}\n\n  # next\r\n  {B} ,{C}\n");
        assert_eq!(KeyTexts::parse(&text).unwrap().0.len(), 3);
    }

    #[test]
    fn short_missing_and_unsendable_keys_are_rejected() {
        assert_eq!(KeyTexts::parse(" \n,\n# none\n").unwrap_err(), KeyError::Empty);
        assert_eq!(
            KeyTexts::parse(&format!("{A},{}", &B[1..])).unwrap_err(),
            KeyError::TooShort { number: 2, length: 31 }
        );
        assert_eq!(
            KeyTexts::parse(&A.replace('a', "ä")).unwrap_err(),
            KeyError::InvalidCharacter { number: 1 }
        );
    }

    #[test]
    fn debug_output_and_errors_show_no_key() {
        let texts = texts(&[A]);
        let shown = format!("{texts:?} {:?}", KeyRing::new(&texts));
        assert!(!shown.contains("aaaa"), "{shown}");
        let error = KeyTexts::parse("secret").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
