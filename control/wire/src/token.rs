//! The secret by which a runner proves that its parent sent it.
//!
//! Whoever holds a token can call every remote function of the app, so a token is 256 random bits,
//! is kept by the parent as a hash alone, is compared in constant time, and is never shown: it
//! leaves the process inside FLAME_PARENT and inside the encrypted hello, nowhere else.

use std::fmt;

use aws_lc_rs::{constant_time, digest};

use crate::entropy;
use crate::error::NoEntropy;

/// 256 secret random bits. `Debug` does not show them, and there is no `Display`.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The token with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Token(bytes)
    }

    /// A token that nobody can guess.
    ///
    /// # Errors
    /// [`NoEntropy`] where the operating system gives no random bytes.
    pub fn generate() -> Result<Self, NoEntropy> {
        entropy::fresh().map(Token)
    }

    /// What the parent keeps of the token.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        // SHA-256 is 32 bytes long; zip can't be wrong about it.
        for (to, from) in hash.iter_mut().zip(digest::digest(&digest::SHA256, &self.0).as_ref()) {
            *to = *from;
        }
        TokenHash(hash)
    }
}

/// In constant time.
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

/// The SHA-256 of a [`Token`]: enough to recognise it, not enough to be it.
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

/// For the two messages that carry a token; `Token` itself can't be serialized by accident.
pub(crate) mod wire {
    use serde::{Deserializer, Serializer};

    use super::Token;
    use crate::pack::fixed;

    pub(crate) fn serialize<S: Serializer>(token: &Token, to: S) -> Result<S::Ok, S::Error> {
        fixed::serialize(&token.0, to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Token, D::Error> {
        fixed::deserialize(from).map(Token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_its_own_token_alone() {
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
    fn debug_shows_nothing_of_a_token_or_its_hash() {
        let token = Token::from_bytes([0xa7; 32]);
        assert_eq!(format!("{token:?}"), "Token(secret)");
        assert_eq!(format!("{:?}", token.hash()), "TokenHash(..)");
    }
}
