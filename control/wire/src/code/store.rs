//! A URL from which a runner can download its parent's executable.

use std::fmt;

use bytes::BytesMut;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::{DecodeError, EncodeError};
use crate::prefixed;

/// The longest [`PresignedUrl`], in bytes. The token of temporary credentials takes most of it.
pub const MAX_URL: usize = 3 * 1024;

const REPLY: &str = "reply to a request for a URL";

/// The parent's reply to [`OfferReply::RequestUrl`](super::OfferReply::RequestUrl).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StoreReply {
    /// The parent is still uploading the executable. Another reply follows within a few seconds.
    Wait,
    /// The runner can download the executable from this URL.
    Url(PresignedUrl),
    /// There is no URL: the runner should fetch the executable over the connection.
    Unavailable,
}

impl StoreReply {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`]. That never happens, since a URL has at most [`MAX_URL`] bytes.
    pub fn encode_to(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        prefixed::encode(REPLY, self, out)
    }

    /// Takes the reply off `input`, or returns `None` if it is incomplete.
    ///
    /// # Errors
    /// [`DecodeError`] if the reply is malformed or too long, or its URL is not valid.
    pub fn decode(input: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let Some(message) = prefixed::take(REPLY, input)? else { return Ok(None) };
        prefixed::decode(REPLY, &message).map(Some)
    }
}

/// A URL by which anyone can download one object until the URL expires. So it is a secret: `Debug`
/// does not show it, there is no `Display`, and it is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PresignedUrl(Zeroizing<String>);

impl PresignedUrl {
    /// The URL itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a URL that a runner can download from. It is not shown, because it may be a
/// secret all the same.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It is too long.
    #[error("the URL has {len} bytes, and the limit is {MAX_URL}")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// It has another scheme, or characters that a URL can't have.
    #[error("the URL is not of the form https://.. or http://.. in visible ASCII")]
    Malformed,
}

impl TryFrom<String> for PresignedUrl {
    type Error = InvalidUrl;

    fn try_from(url: String) -> Result<Self, InvalidUrl> {
        let url = Zeroizing::new(url);
        if url.len() > MAX_URL {
            return Err(InvalidUrl::TooLong { len: url.len() });
        }
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        match rest {
            Some(rest) if !rest.is_empty() && url.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(url))
            }
            _ => Err(InvalidUrl::Malformed),
        }
    }
}

impl Serialize for PresignedUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresignedUrl(secret)")
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Damage, arbitrary_bytes};

    fn url(text: &str) -> Result<PresignedUrl, InvalidUrl> {
        PresignedUrl::try_from(text.to_owned())
    }

    fn encoded(reply: &StoreReply) -> BytesMut {
        let mut out = BytesMut::new();
        reply.encode_to(&mut out).unwrap();
        out
    }

    /// A message that says `Url`, with any text.
    fn message_with(text: &str) -> BytesMut {
        #[derive(Serialize)]
        enum Unchecked<'a> {
            Url(&'a str),
        }
        let message = rmp_serde::to_vec(&Unchecked::Url(text)).unwrap();
        let mut out = BytesMut::new();
        out.put_u16_le(message.len().try_into().unwrap());
        out.put_slice(&message);
        out
    }

    #[test]
    fn store_replies_are_encoded_as_these_bytes() {
        for (reply, bytes) in [
            (StoreReply::Wait, b"\x05\x00\xa4Wait".as_slice()),
            (StoreReply::Unavailable, b"\x0c\x00\xabUnavailable"),
            (StoreReply::Url(url("http://a").unwrap()), b"\x0e\x00\x81\xa3Url\xa8http://a"),
        ] {
            assert_eq!(encoded(&reply), bytes, "{reply:?}");
            assert_eq!(StoreReply::decode(&mut bytes.into()), Ok(Some(reply)));
        }
    }

    #[test]
    fn the_longest_url_fits_and_a_longer_one_is_rejected() {
        let longest = format!("https://{}", "x".repeat(MAX_URL - 8));
        let reply = StoreReply::Url(url(&longest).unwrap());
        assert_eq!(StoreReply::decode(&mut encoded(&reply)), Ok(Some(reply)));
        let longer = format!("{longest}x");
        assert_eq!(url(&longer), Err(InvalidUrl::TooLong { len: MAX_URL + 1 }));
        let error = StoreReply::decode(&mut message_with(&longer)).unwrap_err().to_string();
        assert!(error.contains("3073 bytes"), "{error}");
    }

    #[test]
    fn a_text_that_is_no_url_is_rejected_and_not_shown() {
        for secret in ["", "https://", "file:///secret", "http://a/secret b", "https://ä/secret"] {
            assert_eq!(url(secret), Err(InvalidUrl::Malformed), "{secret}");
            let error = StoreReply::decode(&mut message_with(secret)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        let smuggled = "http://a/\r\nHost: b";
        assert_eq!(url(smuggled), Err(InvalidUrl::Malformed));
    }

    #[test]
    fn debug_shows_nothing_of_a_url() {
        let url = url("https://bucket/key?X-Amz-Signature=abc").unwrap();
        assert_eq!(url.as_str(), "https://bucket/key?X-Amz-Signature=abc");
        assert_eq!(format!("{:?}", StoreReply::Url(url)), "Url(PresignedUrl(secret))");
    }

    fn any_reply() -> impl Strategy<Value = StoreReply> {
        prop_oneof![
            Just(StoreReply::Wait),
            Just(StoreReply::Unavailable),
            "https?://[!-~]{1,80}".prop_map(|text| StoreReply::Url(url(&text).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn a_store_reply_survives_a_round_trip(reply in any_reply()) {
            prop_assert_eq!(StoreReply::decode(&mut encoded(&reply)), Ok(Some(reply)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
            let _ = StoreReply::decode(&mut bytes.as_slice().into());
        }

        #[test]
        fn a_damaged_store_reply_never_panics(reply in any_reply(), damage in Damage::any()) {
            let damaged = Damage::all(&damage, encoded(&reply).to_vec());
            let _ = StoreReply::decode(&mut damaged.as_slice().into());
        }
    }
}
