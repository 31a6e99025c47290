//! The secret by which a runner proves that its parent booted it.
//!
//! Anyone who holds a token can connect as that runner. So a token is 256 random bits, the parent
//! keeps only its hash and compares it in constant time, and a token is never printed: it leaves
//! the process only in FLAME_PARENT and in the encrypted hello. Its bytes are overwritten when it
//! is dropped.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
pub use zeroize::Zeroizing;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::entropy;
use crate::error::NoEntropy;

/// 256 secret random bits. `Debug` does not show them, there is no `Display`, and they are
/// overwritten when the token is dropped.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The token with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Token(bytes)
    }

    /// Generates a token that no one can guess.
    ///
    /// # Errors
    /// [`NoEntropy`] if the operating system provides no random bytes.
    pub fn generate() -> Result<Self, NoEntropy> {
        entropy::random_bytes().map(Token)
    }

    /// The hash that the parent keeps.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        // Both are 32 bytes long.
        for (to, from) in hash.iter_mut().zip(digest::digest(&digest::SHA256, &self.0).as_ref()) {
            *to = *from;
        }
        TokenHash(hash)
    }
}

impl Zeroize for Token {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for Token {}

/// Compares in constant time.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// The SHA-256 of a [`Token`]: enough to recognise the token, not enough to show it.
#[derive(Clone)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Whether this is the hash of `token`, in constant time.
    #[must_use]
    pub fn matches(&self, token: &Token) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &token.hash().0).is_ok()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// Serializes tokens in the messages that carry one. `Token` itself does not implement `Serialize`,
/// so that no other message carries one by accident.
pub(crate) mod wire {
    use serde::{Deserializer, Serializer};

    use super::Token;
    use crate::pack::byte_array;

    pub(crate) fn serialize<S: Serializer>(token: &Token, to: S) -> Result<S::Ok, S::Error> {
        byte_array::serialize(&token.0, to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Token, D::Error> {
        byte_array::deserialize(from).map(Token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_only_its_own_token() {
        let (token, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert!(token.hash().matches(&token));
        assert!(!token.hash().matches(&other));
        assert_ne!(token, other);
    }

    #[test]
    fn the_hash_is_sha256() {
        let hash = Token::from_bytes(*b"an example of exactly 32 bytes..").hash();
        let want = digest::digest(&digest::SHA256, b"an example of exactly 32 bytes..");
        assert_eq!(hash.0, want.as_ref());
        assert_ne!(&hash.0, b"an example of exactly 32 bytes..");
    }

    #[test]
    fn a_dropped_token_is_overwritten() {
        fn is_overwritten_when_dropped<T: ZeroizeOnDrop>(_: &T) {}
        let mut token = Token::from_bytes([0xa7; 32]);
        is_overwritten_when_dropped(&token);
        // `drop` does the same.
        token.zeroize();
        assert_eq!(token.0, [0; 32]);
    }

    #[test]
    fn debug_shows_nothing_of_a_token_or_its_hash() {
        let token = Token::from_bytes([0xa7; 32]);
        assert_eq!(format!("{token:?}"), "Token(secret)");
        assert_eq!(format!("{:?}", token.hash()), "TokenHash(..)");
    }
}
