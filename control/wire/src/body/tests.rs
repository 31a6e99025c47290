use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{Damage, arbitrary_bytes};

pub(crate) fn body(value: &[u8], blobs: &[&[u8]]) -> Body {
    let mut writer = BodyWriter::new();
    writer.buffer().extend_from_slice(value);
    writer.finish(blobs.iter().map(|blob| Bytes::copy_from_slice(blob)).collect()).unwrap()
}

/// The message in one piece, as the receiver gets it.
pub(crate) fn joined(parts: MessageParts) -> Bytes {
    let total = parts.total();
    let all = parts.collect::<Vec<_>>().concat();
    assert_eq!(all.len() as u64, total, "the announced length is that of the parts");
    all.into()
}

#[test]
fn a_body_without_blobs_is_encoded_as_these_bytes() {
    let want = [3, 0, 0, 0, 0, 0, 0xa2, b'h', b'i'];
    assert_eq!(joined(body(b"\xa2hi", &[]).into_parts()), want[..]);
}

#[test]
fn a_body_with_blobs_is_encoded_as_these_bytes() {
    #[rustfmt::skip]
    let want = [
        1, 0, 0, 0, 2, 0,
        3, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0xc0, 7, 8, 9,
    ];
    assert_eq!(joined(body(b"\xc0", &[&[7, 8, 9], &[]]).into_parts()), want[..]);
}

#[test]
fn a_small_message_is_one_part() {
    for len in [0, 1, 100, SMALL, SMALL + 1] {
        let parts = body(&vec![7; len], &[]).into_parts();
        assert_eq!(parts.len(), 1, "{len} bytes");
    }
}

#[test]
fn blobs_are_sent_without_being_copied() {
    let blob = Bytes::from(vec![1; 100_000]);
    let body = BodyWriter::new().finish(vec![blob.clone()]).unwrap();
    let sent = body.into_parts().last().unwrap();
    assert_eq!(sent.as_ptr(), blob.as_ptr());
}

#[test]
fn a_large_value_is_sent_and_received_without_being_copied() {
    let large = body(&vec![3; 1 << 20], &[]);
    let value = large.value().as_ptr();
    let first = large.into_parts().next().unwrap();
    let arrived = Value::decode(first).unwrap();
    assert_eq!(arrived.bytes.as_ptr(), value);
}

#[test]
fn a_header_that_exceeds_the_headroom_becomes_a_part_of_its_own() {
    let blobs = vec![b"x".as_slice(); 1000];
    let parts = body(&vec![1; 2 * SMALL], &blobs).into_parts();
    assert_eq!(parts.len(), 2 + 1000);
    let value = Value::decode(joined(parts)).unwrap();
    assert_eq!((value.bytes.len(), value.blobs.len()), (2 * SMALL, 1000));
}

#[test]
fn too_many_blobs_are_rejected() {
    let rejected = BodyWriter::new().finish(vec![Bytes::new(); MAX_BLOBS + 1]).unwrap_err();
    let (what, len, max) = ("list of blobs", MAX_BLOBS + 1, MAX_BLOBS);
    assert_eq!(rejected, EncodeError::TooLong { what, len, max });
}

#[test]
fn lengths_that_do_not_match_the_bytes_are_rejected() {
    let short = Err(DecodeError::TooShort { what: "body" });
    let decode = |bytes: &[u8]| Value::decode(Bytes::copy_from_slice(bytes));
    assert_eq!(decode(&[]), short);
    assert_eq!(decode(&[0, 0, 0, 0, 0]), short);
    assert_eq!(decode(&[1, 0, 0, 0, 0, 0]), short, "the value is missing");
    assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), short, "everything is missing");
    assert_eq!(decode(&[0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]), short, "the blob is missing");
    let endless = [&[0, 0, 0, 0, 1, 0], [0xff; 8].as_slice()].concat();
    assert_eq!(decode(&endless), short, "a blob of 2^64 bytes");
    assert_eq!(decode(&[0; 7]), Err(DecodeError::Trailing { what: "body" }));
}

proptest! {
    #[test]
    fn a_body_survives_a_round_trip(
        value in vec(any::<u8>(), 0..3000),
        blobs in vec(vec(any::<u8>(), 0..50), 0..20),
    ) {
        let blobs: Vec<_> = blobs.iter().map(Vec::as_slice).collect();
        let sent = body(&value, &blobs);
        prop_assert_eq!(sent.len(), sent.clone().into_parts().total());
        let arrived = Value::decode(joined(sent.clone().into_parts())).unwrap();
        prop_assert_eq!(&arrived.bytes, &value);
        prop_assert_eq!(&arrived.blobs, &blobs);
        prop_assert_eq!(arrived, sent.into_value());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
        let _ = Value::decode(bytes.into());
    }

    #[test]
    fn a_damaged_body_never_panics_and_is_never_larger_than_the_received_bytes(damage in Damage::any()) {
        let bytes = Damage::all(&damage, joined(body(b"value", &[b"one", b"two"]).into_parts()).to_vec());
        let len = bytes.len();
        if let Ok(value) = Value::decode(bytes.into()) {
            prop_assert!(value.bytes.len() + value.blobs.iter().map(Bytes::len).sum::<usize>() <= len);
        }
    }
}
