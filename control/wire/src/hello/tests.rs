use bytes::BufMut;
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
        proof: Proof::BootToken(Token::from_bytes([7; 32])),
        build: BuildId::new("b1"),
        instance: "pid-9".into(),
        pid: Some(9),
        expires_in_ms: None,
        synced: false,
        incarnation: 3,
        supervised: false,
    }
}

fn offer() -> Offer {
    let (build, hash) = (BuildId::new("b2"), CodeHash([5; 32]));
    Offer { build, len: 300, hash, target: "t-1".into(), in_store: false }
}

fn encoded(hello: &Hello) -> BytesMut {
    let mut out = BytesMut::new();
    hello.encode_to(&mut out).unwrap();
    out
}

fn encoded_reply(reply: &HelloReply) -> BytesMut {
    let mut out = BytesMut::new();
    reply.encode_to(&mut out).unwrap();
    out
}

/// A message with its length in front.
fn framed(message: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u16_le(message.len().try_into().unwrap());
    out.put_slice(message);
    out
}

#[test]
fn a_hello_is_encoded_as_these_bytes() {
    let want = [
        b"\xb6\x00\x8a\xa8protocol\x02".as_slice(),
        b"\xa6runner\xd9\x22f-abababababababababababababababab",
        b"\xa5proof\x81\xa9BootToken\xc4\x20",
        &[7; 32],
        b"\xa5build\xa2b1",
        b"\xa8instance\xa5pid-9",
        b"\xa3pid\x09",
        b"\xadexpires_in_ms\xc0",
        b"\xa6synced\xc2",
        b"\xabincarnation\x03",
        b"\xaasupervised\xc2",
    ]
    .concat();
    let mut bytes = encoded(&hello());
    assert_eq!(bytes, want);
    assert_eq!(Hello::decode(&mut bytes), Ok(Some(hello())));
    assert!(bytes.is_empty());
}

#[test]
fn replies_are_encoded_as_these_bytes() {
    let builds = |parent, runner| Rejection::OtherBuild {
        parent: BuildId::new(parent),
        runner: BuildId::new(runner),
        sync: NoCodeSync::Disabled,
    };
    for (reply, bytes) in [
        (
            HelloReply::Welcome { resume: Token::from_bytes([9; 32]) },
            [b"\x33\x00\x81\xa7Welcome\x81\xa6resume\xc4\x20".as_slice(), &[9; 32]].concat(),
        ),
        (
            HelloReply::Rejected(Rejection::UsedToken),
            b"\x14\x00\x81\xa8Rejected\xa9UsedToken".to_vec(),
        ),
        (
            HelloReply::Rejected(builds("x", "y")),
            [
                b"\x37\x00\x81\xa8Rejected\x81\xaaOtherBuild\x83".as_slice(),
                b"\xa6parent\xa1x\xa6runner\xa1y\xa4sync\xa8Disabled",
            ]
            .concat(),
        ),
        (
            HelloReply::Rejected(Rejection::Malformed("no".into())),
            b"\x18\x00\x81\xa8Rejected\x81\xa9Malformed\xa2no".to_vec(),
        ),
        (
            HelloReply::CodeOffered(offer()),
            [
                b"\x50\x00\x81\xabCodeOffered\x84\xa5build\xa2b2\xa3len\xcd\x01\x2c".as_slice(),
                b"\xa4hash\xc4\x20",
                &[5; 32],
                b"\xa6target\xa3t-1",
            ]
            .concat(),
        ),
        (
            HelloReply::CodeOffered(Offer { in_store: true, ..offer() }),
            [
                b"\x5a\x00\x81\xabCodeOffered\x85\xa5build\xa2b2\xa3len\xcd\x01\x2c".as_slice(),
                b"\xa4hash\xc4\x20",
                &[5; 32],
                b"\xa6target\xa3t-1",
                b"\xa8in_store\xc3",
            ]
            .concat(),
        ),
    ] {
        assert_eq!(encoded_reply(&reply), bytes, "{reply:?}");
        assert_eq!(HelloReply::decode(&mut bytes.as_slice().into()), Ok(Some(reply)));
    }
}

#[test]
fn a_hello_may_arrive_byte_by_byte_with_more_bytes_behind_it() {
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
fn a_length_above_the_limit_is_rejected_before_the_rest_arrives() {
    let (len, max) = (MAX_HELLO - 1, MAX_HELLO - prefixed::PREFIX);
    let mut input = BytesMut::from(u16::try_from(len).unwrap().to_le_bytes().as_slice());
    let too_long = DecodeError::TooLong { what: "hello", len, max };
    assert_eq!(Hello::decode(&mut input), Err(too_long));
}

#[test]
fn an_empty_message_is_rejected() {
    let empty = DecodeError::BadLength { what: "hello", len: 0 };
    assert_eq!(Hello::decode(&mut framed(b"")), Err(empty));
}

#[test]
fn another_protocol_version_is_reported_even_if_nothing_else_can_be_decoded() {
    let mut newer = framed(b"\x82\xa8protocol\x09\xa5proof\xa5blood");
    let error = Hello::decode(&mut newer).unwrap_err();
    let other = DecodeError::OtherVersion { what: "hello", found: 9, known: PROTOCOL };
    assert_eq!(error, other);
    assert_eq!(Rejection::from(error), Rejection::OtherProtocol { parent: PROTOCOL, runner: 9 });
}

#[test]
fn a_hello_of_another_protocol_version_that_can_be_decoded_keeps_its_version() {
    let newer = Hello { protocol: 9, ..hello() };
    assert_eq!(Hello::decode(&mut encoded(&newer)), Ok(Some(newer)));
}

#[test]
fn the_reply_to_a_malformed_hello_says_what_is_wrong() {
    let error = Hello::decode(&mut framed(b"\x81\xa8protocol\x02")).unwrap_err();
    let Rejection::Malformed(what) = Rejection::from(error) else { panic!("malformed") };
    assert!(what.contains("missing field `runner`"), "{what}");
}

#[test]
fn unknown_fields_are_ignored_and_missing_options_are_none() {
    let message = [
        b"\x86\xa8protocol\x02".as_slice(),
        b"\xa6runner\xd9\x22f-abababababababababababababababab",
        b"\xa5proof\x81\xa9BootToken\xc4\x20",
        &[7; 32],
        b"\xa5build\xa2b1",
        b"\xa8instance\xa5pid-9",
        b"\xa3new\x93\x01\x02\x03",
    ]
    .concat();
    let known = Hello { pid: None, incarnation: 0, ..hello() };
    assert_eq!(Hello::decode(&mut framed(&message)), Ok(Some(known)));
}

#[test]
fn a_token_of_another_length_is_rejected() {
    let message = [
        b"\x85\xa8protocol\x02".as_slice(),
        b"\xa6runner\xd9\x22f-abababababababababababababababab",
        b"\xa5proof\x81\xa9BootToken\xc4\x1f",
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
    let reply = HelloReply::Rejected(Rejection::Malformed(long));
    assert!(encoded_reply(&reply).len() < MAX_HELLO);
}

#[test]
fn debug_shows_no_token() {
    let shown =
        format!("{:?} {:?}", hello(), HelloReply::Welcome { resume: Token::from_bytes([7; 32]) });
    assert_eq!(shown.matches("Token(secret)").count(), 2, "{shown}");
    assert!(!shown.contains("7, 7"), "{shown}");
}

#[test]
fn every_rejection_says_what_to_do_or_that_there_is_nothing_to_do() {
    let other_build = |sync| Rejection::OtherBuild {
        parent: BuildId::new("the parent's"),
        runner: BuildId::new("the runner's"),
        sync,
    };
    for (rejection, advice) in [
        (Rejection::WrongToken, "let the pool boot its runners"),
        (Rejection::UsedToken, "do not restart, copy or retry a runner"),
        (Rejection::ExpiredToken, "raise `boot_timeout`, or make the runner start faster"),
        (Rejection::UnknownRunner, "the pool boots another"),
        (other_build(NoCodeSync::Disabled), "turn on the pool's option `code_sync`"),
        (other_build(NoCodeSync::UnsupportedHost(HostKind::Lambda)), "deploy the same executable"),
        (other_build(NoCodeSync::StillAnotherBuild), "unset it, or set the same value"),
        (other_build(NoCodeSync::TooManyOffers(9)), "find out what breaks its connection"),
        (Rejection::OtherProtocol { parent: 1, runner: 2 }, "the same version of flame-aws"),
        (Rejection::Draining, "nothing is wrong with this runner"),
        (Rejection::Malformed("x".into()), "the same version of flame-aws"),
    ] {
        assert!(rejection.to_string().contains(advice), "{rejection}");
    }
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let token = || any::<[u8; 32]>().prop_map(Token::from_bytes);
    let proof = prop_oneof![token().prop_map(Proof::BootToken), token().prop_map(Proof::ResumeKey)];
    (
        any::<u16>(),
        any::<[u8; 16]>().prop_map(RunnerRef::from_bytes),
        proof,
        "\\PC{0,200}".prop_map(BuildId::new),
        "\\PC{0,40}",
        any::<Option<u32>>(),
        option::of(0..=MAX_MS),
        (any::<bool>(), any::<u64>(), any::<bool>()),
    )
        .prop_map(|(protocol, runner, proof, build, instance, pid, expires_in_ms, last)| {
            let (synced, incarnation, supervised) = last;
            Hello {
                protocol,
                runner,
                proof,
                build,
                instance,
                pid,
                expires_in_ms,
                synced,
                incarnation,
                supervised,
            }
        })
}

fn any_reply() -> impl Strategy<Value = HelloReply> {
    let build = || "\\PC{0,200}".prop_map(BuildId::new);
    let sync = prop_oneof![
        Just(NoCodeSync::Disabled),
        Just(NoCodeSync::UnsupportedHost(HostKind::Lambda)),
        Just(NoCodeSync::StillAnotherBuild),
        any::<u32>().prop_map(NoCodeSync::TooManyOffers),
    ];
    let rejection = prop_oneof![
        Just(Rejection::WrongToken),
        Just(Rejection::UsedToken),
        Just(Rejection::ExpiredToken),
        Just(Rejection::UnknownRunner),
        (build(), build(), sync).prop_map(|(parent, runner, sync)| Rejection::OtherBuild {
            parent,
            runner,
            sync
        }),
        any::<(u16, u16)>()
            .prop_map(|(parent, runner)| Rejection::OtherProtocol { parent, runner }),
        Just(Rejection::Draining),
        "\\PC{0,80}".prop_map(Rejection::Malformed),
    ];
    prop_oneof![
        any::<[u8; 32]>().prop_map(|key| HelloReply::Welcome { resume: Token::from_bytes(key) }),
        rejection.prop_map(HelloReply::Rejected),
        (build(), any::<u64>(), any::<[u8; 32]>(), "\\PC{0,16}", any::<bool>()).prop_map(
            |(build, len, hash, target, in_store)| {
                let hash = CodeHash(hash);
                HelloReply::CodeOffered(Offer { build, len, hash, target, in_store })
            }
        ),
    ]
}

proptest! {
    #[test]
    fn the_exchange_survives_a_round_trip(hello in any_hello(), reply in any_reply()) {
        prop_assert_eq!(Hello::decode(&mut encoded(&hello)), Ok(Some(hello)));
        prop_assert_eq!(HelloReply::decode(&mut encoded_reply(&reply)), Ok(Some(reply)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in arbitrary_bytes(200)) {
        let _ = Hello::decode(&mut bytes.as_slice().into());
        let _ = HelloReply::decode(&mut bytes.as_slice().into());
        let _ = Hello::decode(&mut framed(&bytes));
        let _ = HelloReply::decode(&mut framed(&bytes));
    }

    #[test]
    fn a_damaged_exchange_never_panics(
        hello in any_hello(),
        reply in any_reply(),
        damage in Damage::any(),
    ) {
        let damaged = |bytes: BytesMut| BytesMut::from(Damage::all(&damage, bytes.to_vec()).as_slice());
        let _ = Hello::decode(&mut damaged(encoded(&hello)));
        let _ = HelloReply::decode(&mut damaged(encoded_reply(&reply)));
    }
}
