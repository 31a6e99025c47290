use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{Damage, arbitrary_bytes};

#[test]
fn failures_are_encoded_as_these_bytes() {
    for (failure, bytes) in [
        (
            CallFailure::Panicked {
                message: "oh".into(),
                location: Some("a.rs:1:2".into()),
                backtrace: None,
            },
            b"\x81\xa8Panicked\x83\xa7message\xa2oh\xa8location\xa8a.rs:1:2\xa9backtrace\xc0"
                .as_slice(),
        ),
        (
            CallFailure::UnknownFunction { id: FunctionId(0x0102_0304_0506_0708), known: 3 },
            b"\x81\xafUnknownFunction\x82\xa2id\xcf\x01\x02\x03\x04\x05\x06\x07\x08\xa5known\x03",
        ),
        (CallFailure::Codec { what: "no".into() }, b"\x81\xa5Codec\x81\xa4what\xa2no"),
        (CallFailure::DeadlinePassed, b"\xaeDeadlinePassed"),
        (CallFailure::Draining, b"\xa8Draining"),
        (CallFailure::DepthExceeded { limit: 8 }, b"\x81\xadDepthExceeded\x81\xa5limit\x08"),
        (
            CallFailure::TooLarge { size: 512, limit: 256 },
            b"\x81\xa8TooLarge\x82\xa4size\xcd\x02\x00\xa5limit\xcd\x01\x00",
        ),
        (CallFailure::Cancelled, b"\xa9Cancelled"),
        (
            CallFailure::MissingState { state: "app::Db".into() },
            b"\x81\xacMissingState\x81\xa5state\xa7app::Db",
        ),
    ] {
        assert_eq!(failure.encode().unwrap(), bytes, "{failure:?}");
        assert_eq!(CallFailure::decode(bytes), Ok(failure));
    }
}

#[test]
fn endless_texts_in_a_failure_are_cut_off_and_always_fit() {
    let long = || "é".repeat(MAX_FAILURE);
    let failure =
        CallFailure::Panicked { message: long(), location: Some(long()), backtrace: Some(long()) };
    let arrived = CallFailure::decode(&failure.encode().unwrap()).unwrap();
    let CallFailure::Panicked { message, location, backtrace } = arrived else { panic!("a panic") };
    assert!(message.len() <= MAX_TEXT && message.ends_with("é…"));
    assert!(location.unwrap().len() <= MAX_LOCATION);
    assert!(backtrace.unwrap().len() <= MAX_BACKTRACE);
    assert!(CallFailure::Codec { what: long() }.encode().unwrap().len() < MAX_FAILURE);
}

#[test]
fn bytes_above_the_limit_are_rejected_without_decoding() {
    let (what, len, max) = ("failure", MAX_FAILURE + 1, MAX_FAILURE);
    let too_long = DecodeError::TooLong { what, len, max };
    assert_eq!(CallFailure::decode(&vec![0xc0; len]), Err(too_long));
}

/// An error with a chain of this many sources.
#[derive(Debug, thiserror::Error)]
#[error("level {level}")]
struct Nested {
    level: usize,
    source: Option<Box<Nested>>,
}

fn nested(levels: usize) -> Nested {
    (0..levels).rev().fold(Nested { level: levels, source: None }, |source, level| Nested {
        level,
        source: Some(Box::new(source)),
    })
}

#[test]
fn a_chain_of_errors_arrives_with_its_sources() {
    let remote = RemoteError::of(&nested(2));
    assert_eq!(remote.messages().collect::<Vec<_>>(), ["level 0", "level 1", "level 2"]);
    let bytes = rmp_serde::to_vec_named(&remote).unwrap();
    assert_eq!(bytes, b"\x93\xa7level 0\xa7level 1\xa7level 2");
    let arrived: RemoteError = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(arrived, remote);
    assert_eq!(arrived.source().unwrap().source().unwrap().to_string(), "level 2");
}

#[test]
fn an_endless_chain_is_cut_off() {
    let remote = RemoteError::of(&nested(1000));
    assert_eq!(remote.messages().count(), MAX_CHAIN);
    assert_eq!(remote.messages().last(), Some("level 15"));
}

#[test]
fn an_endless_message_is_cut_off() {
    let remote = RemoteError::new("é".repeat(MAX_TEXT));
    assert!(remote.message().len() <= MAX_TEXT && remote.message().ends_with('…'));
}

#[test]
fn texts_above_the_limits_from_the_peer_are_cut_off_as_well() {
    let list: Vec<_> = (0..1000).map(|n| format!("{n}{}", "x".repeat(MAX_TEXT))).collect();
    let bytes = rmp_serde::to_vec(&list).unwrap();
    let remote: RemoteError = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(remote.messages().count(), MAX_CHAIN);
    assert!(remote.messages().all(|message| message.len() <= MAX_TEXT));
}

#[test]
fn an_error_without_a_message_is_rejected() {
    assert!(rmp_serde::from_slice::<RemoteError>(&[0x90]).is_err());
}

fn failure() -> impl Strategy<Value = CallFailure> {
    let text = || "\\PC{0,60}";
    prop_oneof![
        (text(), proptest::option::of(text()), proptest::option::of(text())).prop_map(
            |(message, location, backtrace)| CallFailure::Panicked { message, location, backtrace }
        ),
        (any::<u64>().prop_map(FunctionId), any::<u32>())
            .prop_map(|(id, known)| CallFailure::UnknownFunction { id, known }),
        text().prop_map(|what| CallFailure::Codec { what }),
        Just(CallFailure::DeadlinePassed),
        Just(CallFailure::Draining),
        any::<u8>().prop_map(|limit| CallFailure::DepthExceeded { limit }),
        any::<(u64, u64)>().prop_map(|(size, limit)| CallFailure::TooLarge { size, limit }),
        Just(CallFailure::Cancelled),
        text().prop_map(|state| CallFailure::MissingState { state }),
    ]
}

proptest! {
    #[test]
    fn a_failure_survives_a_round_trip(failure in failure()) {
        prop_assert_eq!(CallFailure::decode(&failure.encode().unwrap()), Ok(failure));
    }

    #[test]
    fn an_error_chain_survives_a_round_trip(messages in vec("\\PC{0,60}", 1..=MAX_CHAIN)) {
        let remote = RemoteError::chain(messages[0].clone(), messages[1..].to_vec());
        let bytes = rmp_serde::to_vec_named(&remote).unwrap();
        prop_assert_eq!(rmp_serde::from_slice::<RemoteError>(&bytes).unwrap(), remote);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
        let _ = CallFailure::decode(&bytes);
        let _ = rmp_serde::from_slice::<RemoteError>(&bytes);
    }

    #[test]
    fn a_damaged_failure_never_panics(failure in failure(), damage in Damage::any()) {
        let _ = CallFailure::decode(&Damage::all(&damage, failure.encode().unwrap().to_vec()));
    }
}
