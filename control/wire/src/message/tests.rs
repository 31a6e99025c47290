use proptest::prelude::*;
use proptest::{collection, option};

use super::*;
use crate::testing::{Damage, arbitrary_bytes};
use crate::time::MAX_MS;

fn record(text: &str) -> LogMessage {
    LogMessage {
        call: Some(7),
        level: Level::Info,
        target: "app".into(),
        text: text.into(),
        dropped: 0,
    }
}

#[test]
fn tags_have_these_numbers_and_no_others() {
    use Tag::{Accepted, Call, Control, Done, Failed, Item, Result};
    let tags = [Call, Accepted, Result, Item, Done, Failed, Control];
    assert_eq!(tags.map(u8::from), [1, 2, 3, 4, 5, 6, 7]);
    for byte in 0..=u8::MAX {
        let known = tags.into_iter().find(|tag| u8::from(*tag) == byte);
        let unknown = DecodeError::UnknownKind { what: "message", kind: byte };
        assert_eq!(Tag::try_from(byte), known.ok_or(unknown));
    }
}

#[test]
fn messages_from_the_parent_are_encoded_as_these_bytes() {
    for (message, bytes) in [
        (
            ParentToRunner::Drain { within_ms: 30_000 },
            b"\x81\xa5Drain\x81\xa9within_ms\xcd\x75\x30".as_slice(),
        ),
        (ParentToRunner::StayUp { again_in_ms: Some(5) }, b"\x81\xa6StayUp\x81\xabagain_in_ms\x05"),
        (ParentToRunner::StayUp { again_in_ms: None }, b"\x81\xa6StayUp\x81\xabagain_in_ms\xc0"),
        (
            ParentToRunner::Addresses { addresses: vec!["ws://a".into(), "wss://b".into()] },
            b"\x81\xa9Addresses\x81\xa9addresses\x92\xa6ws://a\xa7wss://b",
        ),
    ] {
        assert_eq!(message.encode().unwrap(), bytes, "{message:?}");
        assert_eq!(ParentToRunner::decode(bytes), Ok(message));
    }
}

#[test]
fn messages_from_a_runner_are_encoded_as_these_bytes() {
    for (message, bytes) in [
        (
            RunnerToParent::Idle { idle_ms: 1, calls_done: 300 },
            b"\x81\xa4Idle\x82\xa7idle_ms\x01\xaacalls_done\xcd\x01\x2c".as_slice(),
        ),
        (
            RunnerToParent::Draining { reason: EndReason::Signal(15) },
            b"\x81\xa8Draining\x81\xa6reason\x81\xa6Signal\x0f",
        ),
        (
            RunnerToParent::Goodbye { reason: EndReason::Idle },
            b"\x81\xa7Goodbye\x81\xa6reason\xa4Idle",
        ),
        (
            RunnerToParent::Log(record("hi")),
            b"\x81\xa3Log\x84\xa4call\x07\xa5level\xa4Info\xa6target\xa3app\xa4text\xa2hi",
        ),
        (
            RunnerToParent::Log(LogMessage { dropped: 5, ..record("hi") }),
            b"\x81\xa3Log\x85\xa4call\x07\xa5level\xa4Info\xa6target\xa3app\xa4text\xa2hi\xa7dropped\x05",
        ),
    ] {
        assert_eq!(message.encode().unwrap(), bytes, "{message:?}");
        assert_eq!(RunnerToParent::decode(bytes), Ok(message));
    }
}

#[test]
fn an_unknown_field_is_ignored_and_a_missing_option_is_none() {
    let newer = b"\x81\xa5Drain\x82\xa9within_ms\x01\xa3new\x91\xc3";
    assert_eq!(ParentToRunner::decode(newer), Ok(ParentToRunner::Drain { within_ms: 1 }));
    let older = b"\x81\xa6StayUp\x80";
    assert_eq!(ParentToRunner::decode(older), Ok(ParentToRunner::StayUp { again_in_ms: None }));
}

#[test]
fn an_unknown_message_is_a_typed_error() {
    let refused = ParentToRunner::decode(b"\x81\xa4Bark\x80").unwrap_err();
    assert!(refused.to_string().contains("unknown variant `Bark`"), "{refused}");
}

#[test]
fn a_time_above_ten_years_is_sent_as_ten_years() {
    let drain = ParentToRunner::Drain { within_ms: u64::MAX }.encode().unwrap();
    let within_ms = MAX_MS;
    assert_eq!(ParentToRunner::decode(&drain), Ok(ParentToRunner::Drain { within_ms }));
    let stay = ParentToRunner::StayUp { again_in_ms: Some(u64::MAX) }.encode().unwrap();
    let again_in_ms = Some(MAX_MS);
    assert_eq!(ParentToRunner::decode(&stay), Ok(ParentToRunner::StayUp { again_in_ms }));
}

#[test]
fn a_time_that_could_overflow_a_clock_is_rejected() {
    let longest = b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff";
    for head in [b"\x81\xa5Drain\x81\xa9within_ms".as_slice(), b"\x81\xa6StayUp\x81\xabagain_in_ms"]
    {
        let refused = ParentToRunner::decode(&[head, longest].concat()).unwrap_err();
        assert!(refused.to_string().contains("more than ten years"), "{refused}");
    }
}

#[test]
fn a_long_log_record_is_cut_off_and_always_fits() {
    let long = "é".repeat(MAX_CONTROL);
    let record = LogMessage { target: long.clone(), ..record(&long) };
    let bytes = RunnerToParent::Log(record).encode().unwrap();
    let Ok(RunnerToParent::Log(arrived)) = RunnerToParent::decode(&bytes) else { panic!("a log") };
    assert!(arrived.text.len() <= MAX_LOG_TEXT && arrived.text.ends_with("é…"));
    assert!(arrived.target.len() <= MAX_LOG_TARGET && arrived.target.ends_with("é…"));
}

#[test]
fn bytes_above_the_limit_are_rejected_without_decoding() {
    let (what, len, max) = ("control message", MAX_CONTROL + 1, MAX_CONTROL);
    let too_long = DecodeError::TooLong { what, len, max };
    assert_eq!(RunnerToParent::decode(&vec![0xc0; len]), Err(too_long.clone()));
    assert_eq!(ParentToRunner::decode(&vec![0xc0; len]), Err(too_long));
}

#[test]
fn extra_bytes_after_a_message_are_rejected() {
    let bytes = [b"\x81\xa5Drain\x81\xa9within_ms\x01".as_slice(), &[0]].concat();
    let trailing = DecodeError::Trailing { what: "control message" };
    assert_eq!(ParentToRunner::decode(&bytes), Err(trailing));
}

#[test]
fn endless_nesting_is_rejected() {
    let bytes = [b"\x81\xa5Drain\x81\xa3new".as_slice(), &[0x91; 20_000], &[0xc0]].concat();
    assert!(matches!(ParentToRunner::decode(&bytes), Err(DecodeError::BadValue { .. })));
}

#[test]
fn every_end_reason_reads_as_the_rest_of_a_sentence() {
    assert_eq!(
        format!("the runner ended: {}", EndReason::SingleUse),
        "the runner ended: it was for a single call"
    );
    assert_eq!(EndReason::Signal(9).to_string(), "it received signal 9");
}

fn from_parent() -> impl Strategy<Value = ParentToRunner> {
    prop_oneof![
        (0..=MAX_MS).prop_map(|within_ms| ParentToRunner::Drain { within_ms }),
        option::of(0..=MAX_MS).prop_map(|again_in_ms| ParentToRunner::StayUp { again_in_ms }),
        collection::vec("wss?://[a-z]{1,20}", 0..5)
            .prop_map(|addresses| ParentToRunner::Addresses { addresses }),
    ]
}

fn from_runner() -> impl Strategy<Value = RunnerToParent> {
    let reason = prop_oneof![
        Just(EndReason::Idle),
        Just(EndReason::SingleUse),
        Just(EndReason::ParentLost),
        Just(EndReason::NeverConnected),
        Just(EndReason::Lifetime),
        Just(EndReason::HostDeadline),
        any::<i32>().prop_map(EndReason::Signal),
        Just(EndReason::DrainRequested),
    ];
    let level = prop_oneof![
        Just(Level::Error),
        Just(Level::Warn),
        Just(Level::Info),
        Just(Level::Debug),
        Just(Level::Trace),
    ];
    let record = (any::<Option<u64>>(), level, "\\PC{0,60}", "\\PC{0,99}", any::<u64>()).prop_map(
        |(call, level, target, text, dropped)| LogMessage { call, level, target, text, dropped },
    );
    prop_oneof![
        (0..=MAX_MS, any::<u64>())
            .prop_map(|(idle_ms, calls_done)| RunnerToParent::Idle { idle_ms, calls_done }),
        reason.clone().prop_map(|reason| RunnerToParent::Draining { reason }),
        reason.prop_map(|reason| RunnerToParent::Goodbye { reason }),
        record.prop_map(RunnerToParent::Log),
    ]
}

proptest! {
    #[test]
    fn control_messages_survive_a_round_trip(parent in from_parent(), runner in from_runner()) {
        prop_assert_eq!(ParentToRunner::decode(&parent.encode().unwrap()), Ok(parent));
        prop_assert_eq!(RunnerToParent::decode(&runner.encode().unwrap()), Ok(runner));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
        let _ = ParentToRunner::decode(&bytes);
        let _ = RunnerToParent::decode(&bytes);
    }

    #[test]
    fn damaged_control_messages_never_panic(
        parent in from_parent(),
        runner in from_runner(),
        damage in Damage::any(),
    ) {
        let _ = ParentToRunner::decode(&Damage::all(&damage, parent.encode().unwrap().to_vec()));
        let _ = RunnerToParent::decode(&Damage::all(&damage, runner.encode().unwrap().to_vec()));
    }
}
