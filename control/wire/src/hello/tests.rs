use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::code::CodeHash;
use crate::testing::{Damage, arbitrary_bytes};
use crate::time::MAX_MS;

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL,
        runner: RunnerRef::from_bytes([0xab; 16]),
        proof: Proof::First(Token::from_bytes([7; 32])),
        build: BuildId::new("b1"),
        instance: "pid-9".into(),
        pid: Some(9),
        expires_in_ms: None,
        synced: false,
        life: 3,
    }
}

fn offer() -> Offer {
    Offer { build: BuildId::new("b2"), len: 300, hash: CodeHash([5; 32]), target: "t-1".into() }
}

fn encoded(hello: &Hello) -> BytesMut {
    let mut out = BytesMut::new();
    hello.encode_to(&mut out).unwrap();
    out
}

fn encoded_answer(answer: &Answer) -> BytesMut {
    let mut out = BytesMut::new();
    answer.encode_to(&mut out).unwrap();
    out
}

/// A message behind its length.
fn framed(message: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u16_le(message.len().try_into().unwrap());
    out.put_slice(message);
    out
}

#[test]
fn a_hello_has_these_bytes() {
    let want = [
        b"\x9f\x00\x89\xa8protocol\x02".as_slice(),
        b"\xa6runner\xd9\x22f-abababababababababababababababab",
        b"\xa5proof\x81\xa5First\xc4\x20",
        &[7; 32],
        b"\xa5build\xa2b1",
        b"\xa8instance\xa5pid-9",
        b"\xa3pid\x09",
        b"\xadexpires_in_ms\xc0",
        b"\xa6synced\xc2",
        b"\xa4life\x03",
    ]
    .concat();
    let mut bytes = encoded(&hello());
    assert_eq!(bytes, want);
    assert_eq!(Hello::decode(&mut bytes), Ok(Some(hello())));
    assert!(bytes.is_empty());
}

#[test]
fn answers_have_these_bytes() {
    let builds = |parent, runner| Refusal::OtherBuild {
        parent: BuildId::new(parent),
        runner: BuildId::new(runner),
        sync: NoSync::Off,
    };
    for (answer, bytes) in [
        (
            Answer::Welcome { resume: Token::from_bytes([9; 32]) },
            [b"\x33\x00\x81\xa7Welcome\x81\xa6resume\xc4\x20".as_slice(), &[9; 32]].concat(),
        ),
        (Answer::Refused(Refusal::UsedToken), b"\x13\x00\x81\xa7Refused\xa9UsedToken".to_vec()),
        (
            Answer::Refused(builds("x", "y")),
            [
                b"\x31\x00\x81\xa7Refused\x81\xaaOtherBuild\x83".as_slice(),
                b"\xa6parent\xa1x\xa6runner\xa1y\xa4sync\xa3Off",
            ]
            .concat(),
        ),
        (
            Answer::Refused(Refusal::Malformed("no".into())),
            b"\x17\x00\x81\xa7Refused\x81\xa9Malformed\xa2no".to_vec(),
        ),
        (
            Answer::Offered(offer()),
            [
                b"\x4c\x00\x81\xa7Offered\x84\xa5build\xa2b2\xa3len\xcd\x01\x2c".as_slice(),
                b"\xa4hash\xc4\x20",
                &[5; 32],
                b"\xa6target\xa3t-1",
            ]
            .concat(),
        ),
    ] {
        assert_eq!(encoded_answer(&answer), bytes, "{answer:?}");
        assert_eq!(Answer::decode(&mut bytes.as_slice().into()), Ok(Some(answer)));
    }
}

#[test]
fn a_hello_may_come_byte_by_byte_with_more_behind_it() {
    let whole = encoded(&hello());
    let mut input = BytesMut::new();
    for byte in &whole[..whole.len() - 1] {
        input.put_u8(*byte);
        assert_eq!(Hello::decode(&mut input), Ok(None));
    }
    input.extend_from_slice(&[whole[whole.len() - 1], 42]);
    assert_eq!(Hello::decode(&mut input), Ok(Some(hello())));
    assert_eq!(input[..], [42]);
}

#[test]
fn a_length_over_the_limit_is_refused_before_the_rest_comes() {
    let (len, max) = (MAX_HELLO - 1, MAX_HELLO - PREFIX);
    let mut input = BytesMut::from(u16::try_from(len).unwrap().to_le_bytes().as_slice());
    let too_long = DecodeError::TooLong { what: "hello", len, max };
    assert_eq!(Hello::decode(&mut input), Err(too_long));
}

#[test]
fn an_empty_message_is_refused() {
    let empty = DecodeError::BadLength { what: "hello", len: 0 };
    assert_eq!(Hello::decode(&mut framed(b"")), Err(empty));
}

#[test]
fn a_hello_of_another_protocol_is_named_as_such_even_if_nothing_else_is_understood() {
    let mut newer = framed(b"\x82\xa8protocol\x09\xa5proof\xa5blood");
    let error = Hello::decode(&mut newer).unwrap_err();
    let other = DecodeError::OtherVersion { what: "hello", found: 9, known: PROTOCOL };
    assert_eq!(error, other);
    assert_eq!(Refusal::from(error), Refusal::OtherProtocol { parent: PROTOCOL, runner: 9 });
}

#[test]
fn a_hello_of_another_protocol_that_is_understood_keeps_its_number() {
    let newer = Hello { protocol: 9, ..hello() };
    assert_eq!(Hello::decode(&mut encoded(&newer)), Ok(Some(newer)));
}

#[test]
fn a_hello_that_makes_no_sense_is_answered_with_what_is_wrong() {
    let error = Hello::decode(&mut framed(b"\x81\xa8protocol\x02")).unwrap_err();
    let Refusal::Malformed(what) = Refusal::from(error) else { panic!("malformed") };
    assert!(what.contains("missing field `runner`"), "{what}");
}

#[test]
fn fields_of_the_future_are_passed_over_and_missing_options_are_none() {
    let message = [
        b"\x86\xa8protocol\x02".as_slice(),
        b"\xa6runner\xd9\x22f-abababababababababababababababab",
        b"\xa5proof\x81\xa5First\xc4\x20",
        &[7; 32],
        b"\xa5build\xa2b1",
        b"\xa8instance\xa5pid-9",
        b"\xa3new\x93\x01\x02\x03",
    ]
    .concat();
    let known = Hello { pid: None, life: 0, ..hello() };
    assert_eq!(Hello::decode(&mut framed(&message)), Ok(Some(known)));
}

#[test]
fn a_token_of_another_length_is_refused() {
    let message = [
        b"\x85\xa8protocol\x02".as_slice(),
        b"\xa6runner\xd9\x22f-abababababababababababababababab",
        b"\xa5proof\x81\xa5First\xc4\x1f",
        &[7; 31],
        b"\xa5build\xa2b1",
        b"\xa8instance\xa5pid-9",
    ]
    .concat();
    let error = Hello::decode(&mut framed(&message)).unwrap_err();
    assert!(error.to_string().contains("expected 32 bytes"), "{error}");
}

#[test]
fn the_longest_texts_still_fit() {
    let long = "é".repeat(MAX_HELLO);
    let hello = Hello { build: BuildId::new(&*long), instance: long.clone(), ..hello() };
    let arrived = Hello::decode(&mut encoded(&hello)).unwrap().unwrap();
    assert!(arrived.instance.len() <= MAX_INSTANCE && arrived.instance.ends_with('…'));
    assert_eq!(arrived.build, hello.build);
    let answer = Answer::Refused(Refusal::Malformed(long));
    assert!(encoded_answer(&answer).len() < MAX_HELLO);
}

#[test]
fn debug_shows_no_token() {
    let shown =
        format!("{:?} {:?}", hello(), Answer::Welcome { resume: Token::from_bytes([7; 32]) });
    assert_eq!(shown.matches("Token(secret)").count(), 2, "{shown}");
    assert!(!shown.contains("7, 7"), "{shown}");
}

#[test]
fn every_refusal_says_what_to_do_or_that_there_is_nothing_to_do() {
    let other_build = |sync| Refusal::OtherBuild {
        parent: BuildId::new("the parent's"),
        runner: BuildId::new("the runner's"),
        sync,
    };
    for (refusal, advice) in [
        (Refusal::WrongToken, "boot runners through their pool"),
        (Refusal::UsedToken, "do not restart, copy or retry a runner"),
        (Refusal::ExpiredToken, "raise it, or boot faster"),
        (Refusal::UnknownRunner, "the pool boots another"),
        (other_build(NoSync::Off), "by `code_sync`"),
        (other_build(NoSync::Host(HostKind::Lambda)), "deploy the same executable"),
        (other_build(NoSync::Again), "unset it there"),
        (other_build(NoSync::TooOften(9)), "see what cuts its connection"),
        (Refusal::OtherProtocol { parent: 1, runner: 2 }, "the same version of flame-aws"),
        (Refusal::Draining, "nothing is wrong with this one"),
        (Refusal::Malformed("x".into()), "the same version of flame-aws"),
    ] {
        assert!(refusal.to_string().contains(advice), "{refusal}");
    }
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let token = || any::<[u8; 32]>().prop_map(Token::from_bytes);
    let proof = prop_oneof![token().prop_map(Proof::First), token().prop_map(Proof::Again)];
    (
        any::<u16>(),
        any::<[u8; 16]>().prop_map(RunnerRef::from_bytes),
        proof,
        "\\PC{0,200}".prop_map(BuildId::new),
        "\\PC{0,40}",
        any::<Option<u32>>(),
        option::of(0..=MAX_MS),
        (any::<bool>(), any::<u64>()),
    )
        .prop_map(|(protocol, runner, proof, build, instance, pid, expires_in_ms, last)| {
            let (synced, life) = last;
            Hello { protocol, runner, proof, build, instance, pid, expires_in_ms, synced, life }
        })
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let build = || "\\PC{0,200}".prop_map(BuildId::new);
    let sync = prop_oneof![
        Just(NoSync::Off),
        Just(NoSync::Host(HostKind::Lambda)),
        Just(NoSync::Again),
        any::<u32>().prop_map(NoSync::TooOften),
    ];
    let refusal = prop_oneof![
        Just(Refusal::WrongToken),
        Just(Refusal::UsedToken),
        Just(Refusal::ExpiredToken),
        Just(Refusal::UnknownRunner),
        (build(), build(), sync).prop_map(|(parent, runner, sync)| Refusal::OtherBuild {
            parent,
            runner,
            sync
        }),
        any::<(u16, u16)>().prop_map(|(parent, runner)| Refusal::OtherProtocol { parent, runner }),
        Just(Refusal::Draining),
        "\\PC{0,80}".prop_map(Refusal::Malformed),
    ];
    prop_oneof![
        any::<[u8; 32]>().prop_map(|key| Answer::Welcome { resume: Token::from_bytes(key) }),
        refusal.prop_map(Answer::Refused),
        (build(), any::<u64>(), any::<[u8; 32]>(), "\\PC{0,16}").prop_map(
            |(build, len, hash, target)| {
                Answer::Offered(Offer { build, len, hash: CodeHash(hash), target })
            }
        ),
    ]
}

proptest! {
    #[test]
    fn the_exchange_comes_back_as_it_was(hello in any_hello(), answer in any_answer()) {
        prop_assert_eq!(Hello::decode(&mut encoded(&hello)), Ok(Some(hello)));
        prop_assert_eq!(Answer::decode(&mut encoded_answer(&answer)), Ok(Some(answer)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
        let _ = Hello::decode(&mut bytes.as_slice().into());
        let _ = Answer::decode(&mut bytes.as_slice().into());
        let _ = Hello::decode(&mut framed(&bytes));
        let _ = Answer::decode(&mut framed(&bytes));
    }

    #[test]
    fn a_damaged_exchange_never_panics(
        hello in any_hello(),
        answer in any_answer(),
        damage in Damage::any(),
    ) {
        let damaged = |bytes: BytesMut| BytesMut::from(Damage::all(&damage, bytes.to_vec()).as_slice());
        let _ = Hello::decode(&mut damaged(encoded(&hello)));
        let _ = Answer::decode(&mut damaged(encoded_answer(&answer)));
    }
}
