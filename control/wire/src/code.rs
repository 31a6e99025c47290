//! How a runner of another build gets its parent's executable, on the socket of its hello.
//!
//! ```text
//! runner ◀─ Answer::Offered(Offer) ── parent     in place of a refusal: the token stays unused
//! runner ── Wish::Send ──▶ parent                unless it has the bytes already
//! runner ◀─ Offer::len bytes ── parent           as they are
//! runner ── Wish::Taken, or Failed ──▶ parent    the socket closes; a runner that took it dials anew
//! runner ── Wish::Failed ──▶ parent              or, if it could not become what it took
//!
//! Wish := as a hello: len u16, len bytes of MessagePack
//! ```
//!
//! The runner believes the offer since TLS has shown it the parent's key; what comes after it must
//! have the length and the hash that were offered.

use std::fmt;

use aws_lc_rs::digest;
use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use crate::error::{DecodeError, EncodeError};
use crate::hex::Hex;
use crate::ids::BuildId;
use crate::{hello, pack, text};

/// The longest executable that is offered or taken, in bytes: 1 GiB.
pub const MAX_CODE: u64 = 1 << 30;

const MAX_TARGET: usize = 64;
const MAX_REASON: usize = 1024;
const WISH: &str = "answer to an offer";

/// An executable that a runner may fetch and become.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// Its build id.
    pub build: BuildId,
    /// Its length, in bytes.
    pub len: u64,
    /// The hash of all its bytes.
    pub hash: CodeHash,
    /// What it runs on: the parent's [`target`]. Sent up to 64 bytes.
    #[serde(serialize_with = "text::at_most::<_, MAX_TARGET>")]
    pub target: String,
}

/// What this process's executable runs on: operating system and architecture, as in
/// `linux-x86_64`. Which C library it needs can't be told by it.
#[must_use]
pub fn target() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// What a runner answers to an offer, and what becomes of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Wish {
    /// It has not got the executable: send it.
    Send,
    /// It has it, whole, and becomes it.
    Taken,
    /// It can't become it, and ends. Why; sent up to 1 KiB.
    Failed(#[serde(serialize_with = "text::at_most::<_, MAX_REASON>")] String),
}

impl Wish {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`], which no wish reaches: its text is bounded.
    pub fn encode_to(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        hello::encode(WISH, self, out)
    }

    /// Takes the wish off `input`; `None` where it is not whole yet.
    ///
    /// # Errors
    /// [`DecodeError`] where it is malformed or too long.
    pub fn decode(input: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let Some(message) = hello::take(WISH, input)? else { return Ok(None) };
        hello::unpack(WISH, &message).map(Some)
    }
}

/// The SHA-256 of an executable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeHash(#[serde(with = "pack::fixed")] pub [u8; 32]);

/// 64 lower-case hexadecimal digits.
impl fmt::Display for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodeHash({self})")
    }
}

/// Makes a [`CodeHash`] of bytes that come piece by piece.
#[derive(Clone)]
pub struct CodeHasher(digest::Context);

impl fmt::Debug for CodeHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeHasher")
    }
}

impl Default for CodeHasher {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl CodeHasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all that was taken in.
    #[must_use]
    pub fn finish(self) -> CodeHash {
        let mut hash = [0; 32];
        // SHA-256 is 32 bytes long; zip can't be wrong about it.
        for (to, from) in hash.iter_mut().zip(self.0.finish().as_ref()) {
            *to = *from;
        }
        CodeHash(hash)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Damage, arbitrary_bytes};

    fn encoded(wish: &Wish) -> BytesMut {
        let mut out = BytesMut::new();
        wish.encode_to(&mut out).unwrap();
        out
    }

    #[test]
    fn wishes_have_these_bytes() {
        for (wish, bytes) in [
            (Wish::Send, b"\x05\x00\xa4Send".as_slice()),
            (Wish::Taken, b"\x06\x00\xa5Taken"),
            (Wish::Failed("no".into()), b"\x0b\x00\x81\xa6Failed\xa2no"),
        ] {
            assert_eq!(encoded(&wish), bytes, "{wish:?}");
            assert_eq!(Wish::decode(&mut bytes.into()), Ok(Some(wish)));
        }
    }

    #[test]
    fn the_hash_is_sha256_whatever_the_pieces() {
        let mut hasher = CodeHasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hasher.finish().to_string(), want);
    }

    #[test]
    fn the_longest_reason_still_fits() {
        let wish = Wish::Failed("é".repeat(10_000));
        let arrived = Wish::decode(&mut encoded(&wish)).unwrap().unwrap();
        let Wish::Failed(why) = arrived else { panic!("{arrived:?}") };
        assert!(why.len() <= MAX_REASON && why.ends_with('…'));
    }

    fn any_wish() -> impl Strategy<Value = Wish> {
        prop_oneof![Just(Wish::Send), Just(Wish::Taken), "\\PC{0,80}".prop_map(Wish::Failed)]
    }

    proptest! {
        #[test]
        fn a_wish_comes_back_as_it_was(wish in any_wish()) {
            prop_assert_eq!(Wish::decode(&mut encoded(&wish)), Ok(Some(wish)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
            let _ = Wish::decode(&mut bytes.as_slice().into());
        }

        #[test]
        fn a_damaged_wish_never_panics(wish in any_wish(), damage in Damage::any()) {
            let damaged = Damage::all(&damage, encoded(&wish).to_vec());
            let _ = Wish::decode(&mut damaged.as_slice().into());
        }
    }
}
