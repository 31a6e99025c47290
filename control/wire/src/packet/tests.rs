use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::frame::tests::any_frame;
use crate::frame::{DataFrame, StreamId};
use crate::testing::{Damage, arbitrary_bytes};

fn encoded(packet: &Packet) -> BytesMut {
    let mut out = BytesMut::new();
    packet.encode(&mut out);
    out
}

#[test]
fn packets_are_encoded_as_these_bytes() {
    let frame = Frame::Reset { stream: StreamId(2) };
    for (packet, bytes) in [
        (Packet::Resume { next: 0x0102 }, b"\x01\x08\0\0\x02\x01\0\0\0\0\0\0".as_slice()),
        (
            Packet::Data { seq: 3, ack: 4, frame },
            b"\x02\x1a\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x03\0\x02\0\0\0\0\0\0\0",
        ),
        (Packet::Ack { next: 5 }, b"\x03\x08\0\0\x05\0\0\0\0\0\0\0"),
        (Packet::Ping { nonce: 6 }, b"\x04\x08\0\0\x06\0\0\0\0\0\0\0"),
        (Packet::Pong { nonce: 7 }, b"\x05\x08\0\0\x07\0\0\0\0\0\0\0"),
        (Packet::Close, b"\x06\0\0\0"),
    ] {
        assert_eq!(encoded(&packet), bytes, "{packet:?}");
        let mut input = BytesMut::from(bytes);
        assert_eq!(Packet::decode(&mut input), Ok(Some(packet)));
        assert!(input.is_empty());
    }
}

/// A frame of the greatest length.
fn longest_frame() -> Frame {
    let payload = Bytes::from(vec![7; MAX_FRAME - 10]);
    Frame::Data(DataFrame { stream: StreamId(2), start: None, opens: None, end: true, payload })
}

#[test]
fn the_longest_frame_makes_the_longest_packet() {
    let packet = Packet::Data { seq: 1, ack: 2, frame: longest_frame() };
    let mut bytes = encoded(&packet);
    assert_eq!(bytes.len(), MAX_PACKET);
    assert_eq!(Packet::decode(&mut bytes), Ok(Some(packet)));
}

#[test]
fn a_length_above_the_limit_is_rejected_before_the_rest_arrives() {
    let len = MAX_PACKET - HEAD + 1;
    let head = (len << 8 | usize::from(DATA)).to_le_bytes();
    let (what, max) = ("packet", MAX_PACKET - HEAD);
    let too_long = DecodeError::TooLong { what, len, max };
    assert_eq!(Packet::decode(&mut BytesMut::from(&head[..HEAD])), Err(too_long));
}

#[test]
fn an_impossible_length_is_rejected_before_the_rest_arrives() {
    for (kind, len) in [(RESUME, 7), (ACK, 9), (PING, 0), (PONG, 16), (CLOSE, 1), (DATA, 15)] {
        let bad = DecodeError::BadLength { what: "packet", len: usize::from(len) };
        let mut head = BytesMut::from([kind, len, 0, 0].as_slice());
        assert_eq!(Packet::decode(&mut head), Err(bad), "{kind}");
    }
}

#[test]
fn an_unknown_kind_is_rejected_before_the_rest_arrives() {
    for kind in [0, 7, 255] {
        let unknown = DecodeError::UnknownKind { what: "packet", kind };
        let mut head = BytesMut::from([kind, 8, 0, 0].as_slice());
        assert_eq!(Packet::decode(&mut head), Err(unknown));
    }
}

#[test]
fn a_packet_with_a_malformed_frame_is_rejected() {
    let mut empty = BytesMut::from([&[DATA, 16, 0, 0], [0; 16].as_slice()].concat().as_slice());
    assert_eq!(Packet::decode(&mut empty), Err(DecodeError::TooShort { what: "frame" }));
}

fn any_packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        any::<u64>().prop_map(|next| Packet::Resume { next }),
        (any::<u64>(), any::<u64>(), any_frame()).prop_map(|(seq, ack, frame)| Packet::Data {
            seq,
            ack,
            frame
        }),
        any::<u64>().prop_map(|next| Packet::Ack { next }),
        any::<u64>().prop_map(|nonce| Packet::Ping { nonce }),
        any::<u64>().prop_map(|nonce| Packet::Pong { nonce }),
        Just(Packet::Close),
    ]
}

/// Decodes until no complete packet is left. There is at most one packet for every `HEAD` bytes.
fn drain(input: &mut BytesMut) -> Result<Vec<Packet>, DecodeError> {
    let (most, mut packets) = (input.len() / HEAD, Vec::new());
    while let Some(packet) = Packet::decode(input)? {
        packets.push(packet);
        assert!(packets.len() <= most, "a decoder that takes nothing off would never end");
    }
    Ok(packets)
}

proptest! {
    #[test]
    fn packets_survive_a_round_trip_however_the_socket_splits_them(
        packets in vec(any_packet(), 1..8),
        size in 1_usize..500,
    ) {
        let bytes: Vec<u8> = packets.iter().flat_map(encoded).collect();
        let (mut input, mut arrived) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(size) {
            input.extend_from_slice(piece);
            arrived.extend(drain(&mut input).unwrap());
        }
        prop_assert_eq!(arrived, packets);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(400)) {
        let _ = drain(&mut bytes.as_slice().into());
    }

    #[test]
    fn damaged_packets_never_panic(packets in vec(any_packet(), 1..4), damage in Damage::any()) {
        let bytes = packets.iter().flat_map(encoded).collect();
        let _ = drain(&mut Damage::all(&damage, bytes).as_slice().into());
    }
}
