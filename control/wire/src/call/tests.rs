use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::body::Value;
use crate::body::tests::{body, joined};
use crate::testing::{Damage, arbitrary_bytes};

const TRACE_CONTEXT: TraceContext =
    TraceContext { trace_id: [0x11; 16], span_id: [0x22; 8], flags: 1 };

fn full() -> CallHeader {
    CallHeader {
        function: FunctionId(0x0102_0304_0506_0708),
        budget: Some(Duration::from_millis(30_000)),
        depth: 2,
        detached: true,
        ack: true,
        trace: Some(TRACE_CONTEXT),
        channels: vec![4, 0x0106],
    }
}

fn encoded(header: &CallHeader) -> Bytes {
    joined(header.encode(body(b"\x90", &[b"blob"])).unwrap())
}

#[test]
fn the_smallest_call_is_encoded_as_these_bytes() {
    #[rustfmt::skip]
    let want = [
        8, 7, 6, 5, 4, 3, 2, 1, // function
        0, 0,                   // flags, depth
        1, 0, 0, 0, 0, 0,       // body: value of one byte, no blobs
        0x90,
    ];
    let header = CallHeader::new(FunctionId(0x0102_0304_0506_0708));
    assert_eq!(joined(header.encode(body(b"\x90", &[])).unwrap()), want[..]);
}

#[test]
fn a_call_with_every_option_is_encoded_as_these_bytes() {
    #[rustfmt::skip]
    let want = [
        8, 7, 6, 5, 4, 3, 2, 1,             // function
        0b11111, 2,                         // flags, depth
        0x80, 0xc3, 0xc9, 0x01, 0, 0, 0, 0, // budget: 30,000,000 us
        0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,
        1,                                  // trace flags
        2, 0,                               // channels
        4, 0, 0, 0, 0, 0, 0, 0,
        6, 1, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 1, 0,                   // body: value of one byte, one blob
        4, 0, 0, 0, 0, 0, 0, 0,
        0x90,
        b'b', b'l', b'o', b'b',
    ];
    assert_eq!(encoded(&full()), want[..]);
}

#[test]
fn a_small_call_is_one_part_with_all_its_options() {
    assert_eq!(full().encode(body(&[0; 100], &[])).unwrap().len(), 1);
    let mut large = full();
    large.channels.clear();
    assert_eq!(large.encode(body(&[0; 5000], &[])).unwrap().len(), 1);
}

#[test]
fn a_call_has_at_most_as_many_channels_as_one_frame_opens() {
    let mut header = full();
    header.channels = vec![7; MAX_CHANNELS];
    let mut message = encoded(&header);
    assert_eq!(CallHeader::decode(&mut message), Ok(header.clone()));
    header.channels.push(7);
    let (what, len, max) = ("list of channels", MAX_CHANNELS + 1, MAX_CHANNELS);
    let rejected = header.encode(body(b"", &[])).unwrap_err();
    assert_eq!(rejected, EncodeError::TooLong { what, len, max });
}

#[test]
fn too_many_channels_are_rejected_before_they_are_decoded() {
    let mut message = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, CHANNELS, 0, 0xff, 0xff]);
    let (what, len, max) = ("list of channels", 0xffff, MAX_CHANNELS);
    assert_eq!(CallHeader::decode(&mut message), Err(DecodeError::TooLong { what, len, max }));
}

#[test]
fn an_endless_budget_is_sent_as_the_longest_one() {
    let header = CallHeader { budget: Some(Duration::MAX), ..full() };
    let decoded = CallHeader::decode(&mut encoded(&header)).unwrap();
    assert_eq!(decoded.budget, Some(MAX_BUDGET));
}

#[test]
fn a_budget_of_zero_differs_from_no_budget() {
    let header = CallHeader { budget: Some(Duration::ZERO), ..full() };
    assert_eq!(CallHeader::decode(&mut encoded(&header)).unwrap().budget, Some(Duration::ZERO));
}

#[test]
fn a_budget_that_could_overflow_a_clock_is_rejected() {
    let mut message = [&[0; 8], [BUDGET, 0].as_slice(), &[0xff; 8]].concat().into();
    let rejected = CallHeader::decode(&mut message).unwrap_err();
    assert_eq!(rejected.to_string(), "the call is malformed: its budget is longer than ten years");
}

#[test]
fn a_trace_that_the_standard_forbids_is_neither_sent_nor_accepted() {
    let unsent =
        CallHeader { trace: Some(TraceContext { trace_id: [0; 16], ..TRACE_CONTEXT }), ..full() };
    assert_eq!(CallHeader::decode(&mut encoded(&unsent)).unwrap().trace, None);
    let mut message = [&[0; 8], [TRACE, 0].as_slice(), &[0; 25]].concat().into();
    assert!(matches!(CallHeader::decode(&mut message), Err(DecodeError::BadValue { .. })));
}

#[test]
fn an_unknown_flag_is_rejected() {
    let mut message = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 32, 0]);
    let unknown = DecodeError::UnknownKind { what: "call flag", kind: 32 };
    assert_eq!(CallHeader::decode(&mut message), Err(unknown));
}

#[test]
fn a_call_truncated_anywhere_is_rejected() {
    let whole = encoded(&full());
    for len in 0..whole.len() {
        let mut cut = whole.slice(..len);
        let rejected = CallHeader::decode(&mut cut).and_then(|_| Value::decode(cut));
        assert!(matches!(rejected, Err(DecodeError::TooShort { .. })), "{len}: {rejected:?}");
    }
}

fn header() -> impl Strategy<Value = CallHeader> {
    let trace = (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>())
        .prop_map(|(trace_id, span_id, flags)| TraceContext { trace_id, span_id, flags })
        .prop_filter("valid", TraceContext::is_valid);
    let budget = (0..=MAX_MS * 1000).prop_map(Duration::from_micros);
    (
        any::<u64>().prop_map(FunctionId),
        option::of(budget),
        any::<(u8, bool, bool)>(),
        option::of(trace),
        vec(any::<u64>(), 0..40),
    )
        .prop_map(|(function, budget, (depth, detached, ack), trace, channels)| CallHeader {
            function,
            budget,
            depth,
            detached,
            ack,
            trace,
            channels,
        })
}

proptest! {
    #[test]
    fn a_call_survives_a_round_trip(
        header in header(),
        value in vec(any::<u8>(), 0..2000),
        blob in vec(any::<u8>(), 0..20),
    ) {
        let mut message = joined(header.encode(body(&value, &[&blob])).unwrap());
        prop_assert_eq!(CallHeader::decode(&mut message).unwrap(), header);
        let arrived = Value::decode(message).unwrap();
        prop_assert_eq!(arrived.bytes, value);
        prop_assert_eq!(arrived.blobs, vec![blob]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
        let mut message = bytes.into();
        let _ = CallHeader::decode(&mut message).and_then(|_| Value::decode(message));
    }

    #[test]
    fn a_damaged_call_never_panics(header in header(), damage in Damage::any()) {
        let mut message = Damage::all(&damage, encoded(&header).to_vec()).into();
        let _ = CallHeader::decode(&mut message).and_then(|_| Value::decode(message));
    }
}
