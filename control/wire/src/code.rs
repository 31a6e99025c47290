//! How a runner of another build downloads its parent's executable, on the socket of its hello.
//!
//! ```text
//! runner ◀─ HelloReply::CodeOffered(Offer) ─ parent    in place of a rejection: the token stays valid
//! runner ── OfferReply::Fetch ────────────▶ parent     unless the runner has the file already
//! runner ◀─ Offer::len bytes ────────────── parent     the executable, as it is
//! runner ── OfferReply::Ready or Failed ──▶ parent     the socket closes, and a runner that is ready
//!                                                      executes the file and connects again
//! runner ── OfferReply::Failed ───────────▶ parent     after Ready: the file could not be executed
//! ```
//!
//! If the parent has a code store, which is an object store such as S3, the runner first asks for
//! a URL:
//!
//! ```text
//! runner ── OfferReply::RequestUrl ───────▶ parent     if Offer::in_store, in place of Fetch
//! runner ◀─ StoreReply::Wait ────────────── parent     any number of times, while the parent uploads
//! runner ◀─ StoreReply::Url ─────────────── parent     the runner downloads it by HTTP GET: Ready
//! runner ── OfferReply::StoreFailed ──────▶ parent     or else the parent sends the bytes, as above
//! runner ◀─ StoreReply::Unavailable ─────── parent     in place of Url: the runner sends Fetch
//!
//! OfferReply, StoreReply := encoded like a hello: len u16, len bytes of MessagePack
//! ```
//!
//! The runner trusts the offer, because TLS has proved the parent's key. The bytes must have the
//! length and the hash in the offer, wherever they come from.

use std::fmt;

use aws_lc_rs::digest;
use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use crate::error::{DecodeError, EncodeError};
use crate::hex::Hex;
use crate::ids::BuildId;
use crate::{pack, prefixed, text};

/// The longest executable that is offered or downloaded, in bytes: 1 GiB.
pub const MAX_CODE: u64 = 1 << 30;

const MAX_TARGET: usize = 64;
const MAX_REASON: usize = 1024;
const REPLY: &str = "reply to an offer";

mod store;

pub use store::{InvalidUrl, MAX_URL, PresignedUrl, StoreReply};

/// An executable that a runner may download and execute.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// Its build id.
    pub build: BuildId,
    /// Its length, in bytes.
    pub len: u64,
    /// The hash of all its bytes.
    pub hash: CodeHash,
    /// The platform that it runs on: the parent's [`target`]. Cut off at 64 bytes.
    #[serde(serialize_with = "text::at_most::<_, MAX_TARGET>")]
    pub target: String,
    /// Whether the runner can [ask for a URL](OfferReply::RequestUrl) of the executable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_store: bool,
}

/// The platform of this process's executable: operating system and architecture, as in
/// `linux-x86_64`. It does not say which C library the executable needs.
#[must_use]
pub fn target() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// A runner's reply to an offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OfferReply {
    /// The runner does not have the executable: the parent should send it.
    Fetch,
    /// The runner does not have the executable, and can download it: the parent should send a URL.
    RequestUrl,
    /// The runner could not download the executable from the URL: the parent should send it. The
    /// text says why, and is cut off at 1 KiB.
    StoreFailed(#[serde(serialize_with = "text::at_most::<_, MAX_REASON>")] String),
    /// The runner has the whole executable, and is about to execute it.
    Ready,
    /// The runner can't execute it, and exits. The text says why, and is cut off at 1 KiB.
    Failed(#[serde(serialize_with = "text::at_most::<_, MAX_REASON>")] String),
}

impl OfferReply {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`]. That never happens, since the text is cut off.
    pub fn encode_to(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        prefixed::encode(REPLY, self, out)
    }

    /// Takes the reply off `input`, or returns `None` if it is incomplete.
    ///
    /// # Errors
    /// [`DecodeError`] if the reply is malformed or too long.
    pub fn decode(input: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let Some(message) = prefixed::take(REPLY, input)? else { return Ok(None) };
        prefixed::decode(REPLY, &message).map(Some)
    }
}

/// The SHA-256 of an executable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeHash(#[serde(with = "pack::byte_array")] pub [u8; 32]);

/// Displays 64 lower-case hexadecimal digits.
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

/// Computes a [`CodeHash`] from bytes that arrive piece by piece.
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
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes that were added.
    #[must_use]
    pub fn finish(self) -> CodeHash {
        let mut hash = [0; 32];
        // Both are 32 bytes long.
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

    fn encoded(reply: &OfferReply) -> BytesMut {
        let mut out = BytesMut::new();
        reply.encode_to(&mut out).unwrap();
        out
    }

    #[test]
    fn offer_replies_are_encoded_as_these_bytes() {
        for (reply, bytes) in [
            (OfferReply::Fetch, b"\x06\x00\xa5Fetch".as_slice()),
            (OfferReply::RequestUrl, b"\x0b\x00\xaaRequestUrl"),
            (OfferReply::StoreFailed("no".into()), b"\x10\x00\x81\xabStoreFailed\xa2no"),
            (OfferReply::Ready, b"\x06\x00\xa5Ready"),
            (OfferReply::Failed("no".into()), b"\x0b\x00\x81\xa6Failed\xa2no"),
        ] {
            assert_eq!(encoded(&reply), bytes, "{reply:?}");
            assert_eq!(OfferReply::decode(&mut bytes.into()), Ok(Some(reply)));
        }
    }

    #[test]
    fn the_hash_is_sha256_for_any_pieces() {
        let mut hasher = CodeHasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hasher.finish().to_string(), want);
    }

    #[test]
    fn the_longest_reason_still_fits() {
        let reply = OfferReply::Failed("é".repeat(10_000));
        let arrived = OfferReply::decode(&mut encoded(&reply)).unwrap().unwrap();
        let OfferReply::Failed(why) = arrived else { panic!("{arrived:?}") };
        assert!(why.len() <= MAX_REASON && why.ends_with('…'));
    }

    fn any_reply() -> impl Strategy<Value = OfferReply> {
        prop_oneof![
            Just(OfferReply::Fetch),
            Just(OfferReply::RequestUrl),
            Just(OfferReply::Ready),
            "\\PC{0,80}".prop_map(OfferReply::StoreFailed),
            "\\PC{0,80}".prop_map(OfferReply::Failed),
        ]
    }

    proptest! {
        #[test]
        fn a_reply_survives_a_round_trip(reply in any_reply()) {
            prop_assert_eq!(OfferReply::decode(&mut encoded(&reply)), Ok(Some(reply)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
            let _ = OfferReply::decode(&mut bytes.as_slice().into());
        }

        #[test]
        fn a_damaged_reply_never_panics(reply in any_reply(), damage in Damage::any()) {
            let damaged = Damage::all(&damage, encoded(&reply).to_vec());
            let _ = OfferReply::decode(&mut damaged.as_slice().into());
        }
    }
}
