use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::testing::{Damage, arbitrary_bytes};

fn data() -> DataFrame {
    DataFrame {
        stream: StreamId(2),
        start: None,
        opens: None,
        end: false,
        payload: Bytes::from_static(b"hi"),
    }
}

fn encoded(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    assert_eq!(out.len(), frame.encoded_len(), "{frame:?}");
    out.freeze()
}

fn decode(bytes: &[u8]) -> Result<Frame, DecodeError> {
    Frame::decode(Bytes::copy_from_slice(bytes))
}

#[test]
fn frames_are_encoded_as_these_bytes() {
    let start = Some(MessageStart { tag: 1, total: 0x0203 });
    let opens = Some(vec![StreamId(4), StreamId(0x0605)]);
    for (frame, bytes) in [
        (Frame::Data(data()), b"\x01\x00\x02\0\0\0\0\0\0\0hi".as_slice()),
        (
            Frame::Data(DataFrame { start, end: true, ..data() }),
            b"\x01\x05\x02\0\0\0\0\0\0\0\x01\x03\x02\0\0\0\0\0\0hi",
        ),
        (
            Frame::Data(DataFrame { start, opens, ..data() }),
            b"\x01\x03\x02\0\0\0\0\0\0\0\x01\x03\x02\0\0\0\0\0\0\
              \x02\0\x04\0\0\0\0\0\0\0\x05\x06\0\0\0\0\0\0hi",
        ),
        (
            Frame::Credit { stream: StreamId(1), bytes: 0x0004_0000, messages: 0x0102 },
            b"\x02\x00\x01\0\0\0\0\0\0\0\0\0\x04\0\x02\x01\0\0",
        ),
        (Frame::Reset { stream: StreamId(0x0100) }, b"\x03\x00\0\x01\0\0\0\0\0\0"),
    ] {
        assert_eq!(encoded(&frame), bytes, "{frame:?}");
        assert_eq!(decode(bytes), Ok(frame));
    }
}

#[test]
fn unknown_kinds_and_flags_are_rejected() {
    let frame = DecodeError::UnknownKind { what: "frame", kind: 4 };
    assert_eq!(decode(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(frame));
    let flag = DecodeError::UnknownKind { what: "frame flag", kind: 8 };
    assert_eq!(decode(&[DATA, 8, 0, 0, 0, 0, 0, 0, 0, 0]), Err(flag));
}

#[test]
fn a_frame_above_the_limit_is_rejected() {
    let (what, len, max) = ("frame", MAX_FRAME + 1, MAX_FRAME);
    assert_eq!(decode(&vec![1; len]), Err(DecodeError::TooLong { what, len, max }));
}

#[test]
fn too_many_siblings_are_rejected_before_they_are_decoded() {
    let opens = Some(vec![StreamId(7); MAX_SIBLINGS]);
    let most = Frame::Data(DataFrame { opens, ..data() });
    assert_eq!(Frame::decode(encoded(&most)), Ok(most));
    let (what, len, max) = ("list of siblings", MAX_SIBLINGS + 1, MAX_SIBLINGS);
    let more = [&[DATA, OPENS, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1].as_slice()].concat();
    assert_eq!(decode(&more), Err(DecodeError::TooLong { what, len, max }));
}

#[test]
fn a_header_truncated_anywhere_is_rejected() {
    let start = Some(MessageStart { tag: 1, total: 2 });
    let opens = Some(vec![StreamId(4)]);
    let whole = encoded(&Frame::Data(DataFrame { start, opens, payload: Bytes::new(), ..data() }));
    for len in 0..whole.len() {
        let short = DecodeError::TooShort { what: "frame" };
        assert_eq!(Frame::decode(whole.slice(..len)), Err(short), "{len}");
    }
}

#[test]
fn extra_bytes_after_a_frame_of_fixed_length_are_rejected() {
    let trailing = Err(DecodeError::Trailing { what: "frame" });
    for frame in [
        Frame::Credit { stream: StreamId(1), bytes: 2, messages: 3 },
        Frame::Reset { stream: StreamId(1) },
    ] {
        assert_eq!(decode(&[&encoded(&frame), [0].as_slice()].concat()), trailing, "{frame:?}");
    }
}

#[test]
fn the_payload_is_a_slice_of_the_received_bytes() {
    let bytes = encoded(&Frame::Data(data()));
    let Ok(Frame::Data(arrived)) = Frame::decode(bytes.clone()) else { panic!("data") };
    assert_eq!(arrived.payload.as_ptr(), bytes.slice(10..).as_ptr());
}

pub(crate) fn any_frame() -> impl Strategy<Value = Frame> {
    let stream = || any::<u64>().prop_map(StreamId);
    let start = any::<(u8, u64)>().prop_map(|(tag, total)| MessageStart { tag, total });
    let data = (
        stream(),
        option::of(start),
        option::of(vec(stream(), 0..20)),
        any::<bool>(),
        vec(any::<u8>(), 0..300),
    )
        .prop_map(|(stream, start, opens, end, payload)| DataFrame {
            stream,
            start,
            opens,
            end,
            payload: payload.into(),
        });
    prop_oneof![
        4 => data.prop_map(Frame::Data),
        1 => (stream(), any::<(u32, u32)>())
            .prop_map(|(stream, (bytes, messages))| Frame::Credit { stream, bytes, messages }),
        1 => stream().prop_map(|stream| Frame::Reset { stream }),
    ]
}

proptest! {
    #[test]
    fn a_frame_survives_a_round_trip(frame in any_frame()) {
        prop_assert_eq!(Frame::decode(encoded(&frame)), Ok(frame));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
        let _ = Frame::decode(bytes.into());
    }

    #[test]
    fn a_damaged_frame_that_decodes_encodes_to_the_same_bytes(
        frame in any_frame(),
        damage in Damage::any(),
    ) {
        let damaged = Bytes::from(Damage::all(&damage, encoded(&frame).to_vec()));
        if let Ok(frame) = Frame::decode(damaged.clone())
            && matches!(frame, Frame::Data(_))
        {
            prop_assert_eq!(encoded(&frame), damaged);
        }
    }
}
