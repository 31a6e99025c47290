use proptest::prelude::*;
use proptest::sample::Index;
use proptest::{collection, option};

use super::*;
use crate::testing::{Damage, arbitrary_bytes};
use crate::time::MAX_MS;

fn parent() -> FlameParent {
    FlameParent {
        addresses: vec!["ws://10.0.0.7:4100/flame".into()],
        runner: RunnerRef::from_bytes([0xab; 16]),
        token: Token::from_bytes([7; 32]),
        expires_unix_ms: None,
        fingerprint: Fingerprint([9; 32]),
        host: HostKind::Process,
        pool: "thumbs".into(),
        depth: 1,
        limits: RunnerLimits::default(),
    }
}

/// Encodes arbitrary bytes as a document, with their length and checksum.
fn sealed(document: &[u8]) -> String {
    let len = u16::try_from(document.len()).unwrap().to_le_bytes();
    let bytes = [len.as_slice(), &check(document), document].concat();
    format!("flame1.{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The smallest document: a map of the required fields, followed by `more`.
fn minimal(fields: u8, more: &[u8]) -> Vec<u8> {
    [
        [0x80 | fields].as_slice(),
        b"\xa9addresses\x91\xb8ws://10.0.0.7:4100/flame",
        b"\xa6runner\xd9\x22f-abababababababababababababababab",
        b"\xa5token\xc4\x20",
        &[7; 32],
        b"\xabfingerprint\xc4\x20",
        &[9; 32],
        b"\xa4host\xa7process",
        b"\xa4pool\xa6thumbs",
        b"\xa5depth\x01",
        b"\xa6limits\x80",
        more,
    ]
    .concat()
}

#[test]
fn a_document_is_encoded_as_these_bytes() {
    let want = [
        b"\x89\xa9addresses\x91\xb8ws://10.0.0.7:4100/flame".as_slice(),
        b"\xa6runner\xd9\x22f-abababababababababababababababab",
        b"\xa5token\xc4\x20",
        &[7; 32],
        b"\xafexpires_unix_ms\xc0",
        b"\xabfingerprint\xc4\x20",
        &[9; 32],
        b"\xa4host\xa7process",
        b"\xa4pool\xa6thumbs",
        b"\xa5depth\x01",
        b"\xa6limits\x8c",
        b"\xabfailsafe_ms\xcd\x4e\x20",
        b"\xb4reconnect_timeout_ms\xcd\xea\x60",
        b"\xa7idle_ms\xcd\x75\x30",
        b"\xafmax_lifetime_ms\xc0",
        b"\xabshutdown_ms\xcd\x75\x30",
        b"\xaehost_margin_ms\xcd\x27\x10",
        b"\xa7ping_ms\xcd\x27\x10",
        b"\xb4keepalive_timeout_ms\xcd\x75\x30",
        b"\xabmax_message\xce\x40\x00\x00\x00",
        b"\xa9max_depth\x08",
        b"\xaasingle_use\xc2",
        b"\xa3log\xc3",
    ]
    .concat();
    let text = parent().encode().unwrap().to_string();
    assert_eq!(unseal(&text), Ok(Zeroizing::new(want.clone())));
    assert_eq!(text, sealed(&want));
}

#[test]
fn a_document_is_encoded_as_this_text() {
    let want = concat!(
        "flame1.",
        "kwEqhk99vW0P8ompYWRkcmVzc2Vzkbh3czovLzEwLjAuMC43OjQxMDAvZmxhbWWmcnVubmVy2SJmLWFi",
        "YWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFipXRva2VuxCAHBwcHBwcHBwcHBwcHBwcHBwcHBwcH",
        "BwcHBwcHBwcHB69leHBpcmVzX3VuaXhfbXPAq2ZpbmdlcnByaW50xCAJCQkJCQkJCQkJCQkJCQkJCQkJ",
        "CQkJCQkJCQkJCQkJCaRob3N0p3Byb2Nlc3OkcG9vbKZ0aHVtYnOlZGVwdGgBpmxpbWl0c4yrZmFpbHNh",
        "ZmVfbXPNTiC0cmVjb25uZWN0X3RpbWVvdXRfbXPN6mCnaWRsZV9tc811MK9tYXhfbGlmZXRpbWVfbXPA",
        "q3NodXRkb3duX21zzXUwrmhvc3RfbWFyZ2luX21zzScQp3BpbmdfbXPNJxC0a2VlcGFsaXZlX3RpbWVv",
        "dXRfbXPNdTCrbWF4X21lc3NhZ2XOQAAAAKltYXhfZGVwdGgIqnNpbmdsZV91c2XCo2xvZ8M",
    );
    assert_eq!(parent().encode().unwrap().to_string(), want);
    assert_eq!(FlameParent::decode(want), Ok(parent()));
}

#[test]
fn the_largest_document_stays_within_the_limit() {
    let largest = FlameParent {
        addresses: vec![
            format!("wss://{}", "h".repeat(MAX_ADDRESSES_BYTES / 3 - 6));
            MAX_ADDRESSES
        ],
        expires_unix_ms: Some(u64::MAX),
        pool: "p".repeat(MAX_POOL),
        depth: u8::MAX,
        limits: RunnerLimits {
            failsafe_ms: MAX_MS,
            reconnect_timeout_ms: MAX_MS,
            idle_ms: Some(MAX_MS),
            max_lifetime_ms: Some(MAX_MS),
            shutdown_ms: MAX_MS,
            host_margin_ms: MAX_MS,
            ping_ms: MAX_MS - 1,
            keepalive_timeout_ms: MAX_MS,
            max_message: u64::MAX,
            max_depth: u8::MAX,
            single_use: true,
            log: true,
        },
        ..parent()
    };
    let text = largest.encode().unwrap().to_string();
    assert!(text.len() <= MAX_ENCODED, "{} characters", text.len());
    assert_eq!(FlameParent::decode(&text), Ok(largest));
}

#[test]
fn missing_limits_have_defaults_and_unknown_fields_are_ignored() {
    assert_eq!(FlameParent::decode(&sealed(&minimal(8, b""))), Ok(parent()));
    assert_eq!(FlameParent::decode(&sealed(&minimal(9, b"\xa3new\x92\x01\xc0"))), Ok(parent()));
}

#[test]
fn an_empty_variable_is_reported_as_empty() {
    assert_eq!(FlameParent::decode(""), Err(ParentError::Empty));
}

#[test]
fn text_with_another_prefix_is_rejected() {
    for text in [
        "1",
        "true",
        "flame",
        "flame1",
        "flame.",
        "flamex.AAAA",
        "flame+1.AAAA",
        "flame01.AAAA",
        "flame65536.AAAA",
        " flame1.AAAA",
        "FLAME1.AAAA",
    ] {
        assert_eq!(FlameParent::decode(text), Err(ParentError::WrongPrefix), "{text:?}");
    }
}

#[test]
fn another_version_is_reported() {
    let text = parent().encode().unwrap().to_string().replacen("flame1", "flame12", 1);
    let other = ParentError::UnknownVersion { found: 12, known: 1 };
    assert_eq!(FlameParent::decode(&text), Err(other));
}

#[test]
fn a_document_truncated_anywhere_is_reported_as_truncated() {
    let text = parent().encode().unwrap().to_string();
    for len in "flame1.".len()..text.len() {
        let error = FlameParent::decode(&text[..len]).unwrap_err();
        assert!(matches!(error, ParentError::Truncated { .. }), "{len}: {error:?}");
    }
}

#[test]
fn a_document_altered_anywhere_is_rejected() {
    let text = parent().encode().unwrap().to_string();
    for at in 0..text.len() {
        for with in [b'A', b'z', b'_', b'!', b' '] {
            let mut altered = text.clone().into_bytes();
            if altered[at] != with {
                altered[at] = with;
                let altered = String::from_utf8(altered).unwrap();
                assert!(FlameParent::decode(&altered).is_err(), "{at}: {altered}");
            }
        }
    }
}

#[test]
fn an_altered_document_fails_its_checksum() {
    let text = parent().encode().unwrap().to_string();
    let at = text.len() - 9;
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    let altered = format!("{}{other}{}", &text[..at], &text[at + 1..]);
    assert_eq!(FlameParent::decode(&altered), Err(ParentError::Checksum));
    assert_eq!(FlameParent::decode(&format!("{text}AAAA")), Err(ParentError::Checksum));
}

#[test]
fn the_position_of_an_invalid_character_is_reported() {
    let text = parent().encode().unwrap().to_string();
    for foreign in ["\"", "\n", "=", "+", "/", " ", "é"] {
        let altered = format!("{}{foreign}{}", &text[..20], &text[20..]);
        assert_eq!(FlameParent::decode(&altered), Err(ParentError::NotBase64 { at: 20 }));
    }
}

#[test]
fn text_above_the_limit_is_rejected_without_decoding() {
    let (len, max) = (MAX_ENCODED + 1, MAX_ENCODED);
    let error = FlameParent::decode(&"x".repeat(len)).unwrap_err();
    assert_eq!(error, ParentError::TooLong { len, max });
}

#[test]
fn a_complete_document_that_cannot_be_decoded_is_a_bad_field() {
    for (document, reason) in [
        (b"\x80".as_slice(), "missing field `addresses`"),
        (b"\xc0", "can't be read"),
        (b"", "can't be read"),
        (&minimal(8, b"\x00"), "extra bytes"),
        (&minimal(9, b"\xa4host\xa7process"), "duplicate field `host`"),
    ] {
        let error = FlameParent::decode(&sealed(document)).unwrap_err();
        assert!(matches!(error, ParentError::BadField { field: "document", .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

fn bad_field(change: impl FnOnce(&mut FlameParent)) -> (&'static str, String) {
    let mut parent = parent();
    change(&mut parent);
    let Err(ParentError::BadField { field, reason }) = parent.encode() else {
        panic!("{parent:?} is fine")
    };
    let document = rmp_serde::to_vec_named(&parent).unwrap();
    let decoded = FlameParent::decode(&sealed(&document));
    assert!(matches!(decoded, Err(ParentError::BadField { .. })), "{decoded:?}");
    (field, reason)
}

#[test]
fn both_sides_reject_an_invalid_address() {
    for (address, want) in [
        ("", "begin with"),
        ("http://host", "begin with"),
        ("host:80", "begin with"),
        ("ws://", "no host"),
        ("ws:///path", "no host"),
        ("ws://:80", "no host"),
        ("ws://host:", "port"),
        ("ws://host:0", "port"),
        ("ws://host:65536", "port"),
        ("ws://host:+80", "port"),
        ("ws://host:8o", "port"),
        ("ws://me:secret@host", "user name or password"),
        ("ws://fe80::1:80", "brackets"),
        ("ws://ho st", "spaces"),
        ("ws://hôst", "ASCII"),
        ("ws://host\n", "ASCII"),
        ("ws://host/path?query", "`?`"),
        ("ws://host?query", "`?`"),
        ("ws://host/path#fragment", "`#`"),
        (&format!("ws://{}", "h".repeat(MAX_ADDRESS)), "longer"),
    ] {
        let (field, reason) = bad_field(|parent| parent.addresses = vec![address.into()]);
        assert!(field == "addresses" && reason.contains(want), "{address}: {reason}");
    }
}

#[test]
fn both_sides_reject_too_few_too_many_and_too_long_addresses() {
    let long = format!("ws://{}", "h".repeat(MAX_ADDRESSES_BYTES / 2));
    for (addresses, want) in [
        (vec![], "no address"),
        (vec!["ws://h"; 4], "4 addresses, but at most 3"),
        (vec![long.as_str(); 2], "522 bytes in total, but at most 512"),
        (vec!["ws://h", "wss://h", "h:80"], "(number 3) that does not begin with"),
    ] {
        let addresses: Vec<String> = addresses.into_iter().map(str::to_owned).collect();
        let (field, reason) = bad_field(|parent| parent.addresses = addresses);
        assert!(field == "addresses" && reason.contains(want), "{reason}");
    }
}

#[test]
fn valid_addresses_are_accepted() {
    for address in [
        "ws://h",
        "wss://relay.example.com",
        "ws://10.0.0.7:65535",
        "ws://[::1]",
        "ws://[fe80::1]:80/a/b/c=d:e@f",
        "wss://host/path:with@signs",
    ] {
        let parent = FlameParent { addresses: vec![address.into()], ..parent() };
        assert_eq!(FlameParent::decode(&parent.encode().unwrap()), Ok(parent));
    }
}

#[test]
fn both_sides_reject_an_invalid_pool_name() {
    for (pool, want) in [("", "empty"), ("a\nb", "control"), (&*"p".repeat(MAX_POOL + 1), "longer")]
    {
        let (field, reason) = bad_field(|parent| parent.pool = pool.into());
        assert!(field == "pool" && reason.contains(want), "{pool}: {reason}");
    }
}

#[test]
fn both_sides_reject_invalid_limits() {
    let field = |change: fn(&mut RunnerLimits)| bad_field(|parent| change(&mut parent.limits)).0;
    assert_eq!(field(|limits| limits.failsafe_ms = 0), "limits.failsafe_ms");
    assert_eq!(field(|limits| limits.ping_ms = 0), "limits.ping_ms");
    assert_eq!(
        field(|limits| limits.keepalive_timeout_ms = limits.ping_ms),
        "limits.keepalive_timeout_ms"
    );
    assert_eq!(field(|limits| limits.max_message = 0), "limits.max_message");
    assert_eq!(
        field(|limits| limits.reconnect_timeout_ms = limits.keepalive_timeout_ms),
        "limits.reconnect_timeout_ms"
    );
    assert_eq!(
        field(|limits| limits.keepalive_timeout_ms = 2 * limits.reconnect_timeout_ms),
        "limits.reconnect_timeout_ms"
    );
    assert_eq!(field(|limits| limits.ping_ms = u64::MAX), "limits.keepalive_timeout_ms");
}

#[test]
fn a_limit_above_ten_years_is_sent_as_ten_years_and_rejected_when_received() {
    let limits = |ms| RunnerLimits {
        reconnect_timeout_ms: ms,
        idle_ms: Some(ms),
        ..RunnerLimits::default()
    };
    let never = FlameParent { limits: limits(u64::MAX), ..parent() };
    let decoded = FlameParent::decode(&never.encode().unwrap()).unwrap();
    assert_eq!(decoded.limits, limits(MAX_MS));
    let document = minimal(8, b"");
    let long = [
        document.strip_suffix(b"\x80").unwrap(),
        b"\x81\xb4reconnect_timeout_ms\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    ]
    .concat();
    let error = FlameParent::decode(&sealed(&long)).unwrap_err();
    assert!(error.to_string().contains("more than ten years"), "{error}");
}

#[test]
fn neither_debug_nor_an_error_contains_the_token() {
    let parent =
        FlameParent { token: Token::from_bytes(*b"SECRETSECRETSECRETSECRETSECRETSE"), ..parent() };
    let shown = format!("{parent:?}");
    assert!(shown.contains("Token(secret)") && !shown.contains("SECRET"), "{shown}");
    let text = parent.encode().unwrap().to_string();
    for error in [
        FlameParent::decode(&text[..text.len() - 1]).unwrap_err(),
        FlameParent::decode(&format!("{text}!")).unwrap_err(),
        FlameParent::decode(&format!("x{text}")).unwrap_err(),
    ] {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("SECRET") && !shown.contains("U0VDUkVU"), "{shown}");
    }
}

#[test]
fn a_fingerprint_is_the_sha256_of_the_certificate() {
    let shown = Fingerprint::of(b"abc").to_string();
    assert_eq!(shown, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

fn any_parent() -> impl Strategy<Value = FlameParent> {
    let times = (
        1..=MAX_MS,
        0..=MAX_MS,
        option::of(0..=MAX_MS),
        option::of(0..=MAX_MS),
        0..=MAX_MS,
        0..=MAX_MS,
        1..=MAX_MS / 2,
    );
    let limits = (times, 1..=u64::MAX, any::<(u8, bool, bool)>()).prop_map(
        |(times, max_message, (max_depth, single_use, log))| {
            let (
                failsafe_ms,
                reconnect_timeout_ms,
                idle_ms,
                max_lifetime_ms,
                shutdown_ms,
                host_margin_ms,
                ping_ms,
            ) = times;
            RunnerLimits {
                failsafe_ms,
                reconnect_timeout_ms: reconnect_timeout_ms
                    .max(RunnerLimits::min_reconnect_timeout_ms(ping_ms * 2)),
                idle_ms,
                max_lifetime_ms,
                shutdown_ms,
                host_margin_ms,
                ping_ms,
                keepalive_timeout_ms: ping_ms * 2,
                max_message,
                max_depth,
                single_use,
                log,
            }
        },
    );
    let host = prop_oneof![
        Just(HostKind::Local),
        Just(HostKind::Process),
        Just(HostKind::Ecs),
        Just(HostKind::Lambda),
        Just(HostKind::Docker),
        Just(HostKind::Fly),
    ];
    let address = "wss?://[a-z0-9.-]{1,50}(:[1-9][0-9]{0,3})?(/[!-~&&[^?#]]{0,50})?";
    let names = (collection::vec(address, 1..=MAX_ADDRESSES), "\\PC{1,16}");
    let secrets = any::<([u8; 16], [u8; 32], [u8; 32])>();
    (names, secrets, any::<Option<u64>>(), host, any::<u8>(), limits).prop_map(
        |(
            (addresses, pool),
            (runner, token, fingerprint),
            expires_unix_ms,
            host,
            depth,
            limits,
        )| {
            FlameParent {
                addresses,
                runner: RunnerRef::from_bytes(runner),
                token: Token::from_bytes(token),
                expires_unix_ms,
                fingerprint: Fingerprint(fingerprint),
                host,
                pool,
                depth,
                limits,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_document_survives_a_round_trip(parent in any_parent()) {
        let text = parent.encode().unwrap().to_string();
        prop_assert!(text.len() <= MAX_ENCODED);
        prop_assert_eq!(FlameParent::decode(&text), Ok(parent));
    }

    #[test]
    fn decoding_any_text_never_panics(text in "\\PC{0,60}", prefixed in "flame1?\\.?[A-Za-z0-9_-]{0,200}") {
        prop_assert!(FlameParent::decode(&text).is_err());
        prop_assert!(FlameParent::decode(&prefixed).is_err());
    }

    #[test]
    fn an_arbitrary_document_with_a_valid_checksum_never_panics(document in arbitrary_bytes(300)) {
        let _ = FlameParent::decode(&sealed(&document));
    }

    #[test]
    fn a_damaged_document_with_a_valid_checksum_never_panics(damage in Damage::any()) {
        let _ = FlameParent::decode(&sealed(&Damage::all(&damage, minimal(8, b""))));
    }

    #[test]
    fn a_changed_character_is_detected(parent in any_parent(), at in any::<Index>(), to in any::<char>()) {
        let text = parent.encode().unwrap().to_string();
        let at = at.index(text.len());
        prop_assume!(!text[at..].starts_with(to));
        let altered = format!("{}{to}{}", &text[..at], &text[at + 1..]);
        prop_assert!(FlameParent::decode(&altered).is_err());
    }
}
