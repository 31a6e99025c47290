//! Which values decode unchanged, which values are rejected, and that no input makes the decoder
//! panic, overflow the stack or take too much memory.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{CodecError, Part, Wire, decode, encode};

mod byte_lists;
mod depth;
mod derived;
mod model;
mod preserved;

#[track_caller]
fn crosses<T: Wire + PartialEq + fmt::Debug>(value: T) {
    let bytes = encode(&value).unwrap();
    assert_eq!(decode::<T>(&bytes).unwrap(), value);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[test]
fn flattened_fields_cross() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Labelled {
        label: String,
        #[serde(flatten)]
        point: Point,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    crosses(Labelled {
        label: "a".into(),
        point: Point { x: -1, y: 2 },
        rest: BTreeMap::from([("z".into(), 3)]),
    });
}

#[test]
fn enums_of_every_representation_cross() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum External {
        Unit,
        Newtype(u8),
        Tuple(u8, String),
        Struct { point: Point },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Internal {
        Unit,
        Newtype(Point),
        Struct { a: u8 },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", content = "value")]
    enum Adjacent {
        Unit,
        Tuple(u8, u8),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u64),
        Text(String),
        Point(Point),
        Many(Vec<Untagged>),
    }
    crosses(vec![
        External::Unit,
        External::Newtype(1),
        External::Tuple(2, "b".into()),
        External::Struct { point: Point { x: 0, y: 0 } },
    ]);
    crosses(vec![
        Internal::Unit,
        Internal::Newtype(Point { x: 1, y: 1 }),
        Internal::Struct { a: 9 },
    ]);
    crosses(vec![Adjacent::Unit, Adjacent::Tuple(1, 2)]);
    crosses(vec![
        Untagged::Number(7),
        Untagged::Text("t".into()),
        Untagged::Point(Point { x: 1, y: 2 }),
        Untagged::Many(vec![Untagged::Number(8)]),
    ]);
}

#[test]
fn skipped_and_renamed_fields_cross() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Settings {
        #[serde(skip_serializing_if = "Option::is_none")]
        first_name: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        last_names: Vec<String>,
        #[serde(skip)]
        local: u8,
        after: u8,
    }
    crosses(Settings { after: 1, ..Settings::default() });
    crosses(Settings {
        first_name: Some("a".into()),
        last_names: vec!["b".into()],
        local: 0,
        after: 2,
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// Like `serde_json::Value`, it takes whatever kind of value the format has.
#[test]
fn a_type_that_takes_any_kind_of_value_crosses() {
    crosses(Json::Object(BTreeMap::from([
        ("null".into(), Json::Null),
        ("bool".into(), Json::Bool(true)),
        ("array".into(), Json::Array(vec![Json::Int(-1), Json::Float(0.5)])),
        ("text".into(), Json::Text("x".into())),
    ])));
}

#[test]
fn numbers_of_every_width_cross() {
    crosses((u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX));
    crosses((i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN));
    crosses((0_u128, -1_i128, f32::MIN_POSITIVE, f64::MAX, f64::INFINITY));
    crosses((usize::MAX, isize::MIN, 'ß', true));
    assert!(decode::<f64>(&encode(&f64::NAN).unwrap()).unwrap().is_nan());
}

#[test]
fn types_of_the_standard_library_cross() {
    crosses((Duration::new(1, 999_999_999), IpAddr::from([127, 0, 0, 1])));
    crosses((PathBuf::from("/tmp/a b"), Box::<str>::from("boxed"), Cow::Borrowed("cow")));
    crosses(BTreeMap::from([((1_u8, -1_i8), "tuple key".to_owned()), ((2, 0), String::new())]));
    crosses(HashMap::from([(7_u64, vec![None, Some(1_u8)])]));
    crosses((Ok::<u8, String>(1), Err::<u8, String>("no".into())));
    crosses((String::from("ä\0🦀"), (), [(); 3], [1_u16; 5], Vec::<u8>::new()));
    crosses(std::marker::PhantomData::<u8>);
}

/// Each of these fails with a format that writes every sequence of small numbers as bytes.
#[test]
fn sequences_of_small_numbers_inside_other_types_cross() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Data {
        Text(String),
        Number(u8),
        Bytes(Vec<u8>),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        data: Vec<u8>,
        rgb: (u8, u8, u8),
        address: [u8; 4],
    }
    crosses(vec![Data::Bytes(vec![1, 2]), Data::Text("a".into())]);
    crosses(vec![Data::Number(1), Data::Text("a".into())]);
    crosses(Outer { inner: Inner { data: vec![1, 200], rgb: (1, 2, 3), address: [127, 0, 0, 1] } });
}

#[test]
fn a_value_that_fails_to_encode_is_a_typed_error() {
    #[derive(Deserialize)]
    struct NotToday;
    impl Serialize for NotToday {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let error = encode(&NotToday).unwrap_err();
    assert!(matches!(error, CodecError::Encode { part: Part::Message, .. }), "{error:?}");
    let failure = flame_wire::failure::CallFailure::from(error);
    let flame_wire::failure::CallFailure::Codec { what } = failure else { panic!("{failure:?}") };
    assert!(what.contains("NotToday`: not today"), "{what}");
}

#[test]
fn a_value_of_another_type_is_a_typed_error() {
    let error = decode::<Point>(&encode(&"text".to_owned()).unwrap()).unwrap_err();
    assert!(matches!(error, CodecError::Decode { part: Part::Message, .. }), "{error:?}");
    assert!(error.to_string().contains("Point"), "{error}");
}

#[test]
fn bytes_after_the_value_are_a_typed_error() {
    for behind in [&[0xc0][..], &[0x07], &[0x92, 0x01], &[0xd9], &[0x80], &[0xc1], &[0, 0]] {
        let mut bytes = encode(&7_u8).unwrap().to_vec();
        bytes.extend_from_slice(behind);
        let error = decode::<u8>(&bytes).unwrap_err();
        assert!(matches!(error, CodecError::Trailing), "{behind:?}: {error:?}");
    }
}

#[test]
fn a_false_length_takes_no_memory() {
    let array_of_4_billion = [0xdd, 0xff, 0xff, 0xff, 0xff];
    let string_of_4_billion = [0xdb, 0xff, 0xff, 0xff, 0xff];
    let bytes_of_4_billion = [0xc6, 0xff, 0xff, 0xff, 0xff];
    let map_of_4_billion = [0xdf, 0xff, 0xff, 0xff, 0xff];
    assert!(decode::<Vec<u64>>(&array_of_4_billion).is_err());
    assert!(decode::<String>(&string_of_4_billion).is_err());
    assert!(decode::<Vec<u8>>(&bytes_of_4_billion).is_err());
    assert!(decode::<HashMap<u8, u8>>(&map_of_4_billion).is_err());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nested(Vec<Nested>);

#[test]
fn values_nest_a_hundred_deep() {
    let deep = (0..100).fold(Nested(vec![]), |inner, _| Nested(vec![inner]));
    crosses(deep);
}

#[test]
fn endless_nesting_is_an_error_and_not_a_stack_overflow() {
    assert!(decode::<Nested>(&[0x91; 1_000_000]).is_err());
    // `{"Nested": [{"Nested": [...`
    let externally = [&[0x81, 0xa6][..], b"Nested", &[0x91]].concat().repeat(100_000);
    assert!(decode::<Everything>(&externally).is_err());
    assert!(decode::<Json>(&[0x91; 1_000_000]).is_err());
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Everything {
    Unit,
    Text(String),
    Nested(Vec<Everything>),
    Fields { point: Point, map: BTreeMap<String, Option<f64>>, bytes: Vec<u8> },
}

fn everything() -> impl Strategy<Value = Everything> {
    let leaf = prop_oneof![
        Just(Everything::Unit),
        ".*".prop_map(Everything::Text),
        (
            any::<(i32, i32)>(),
            prop::collection::btree_map(".*", prop::option::of(-1e300..1e300), 0..4),
            any::<Vec<u8>>()
        )
            .prop_map(|((x, y), map, bytes)| Everything::Fields {
                point: Point { x, y },
                map,
                bytes
            }),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Everything::Nested)
    })
}

proptest! {
    #[test]
    fn every_value_comes_back_as_it_was(value in everything()) {
        let bytes = encode(&value).unwrap();
        prop_assert_eq!(decode::<Everything>(&bytes).unwrap(), value);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        let _ = decode::<Everything>(&bytes);
        let _ = decode::<Nested>(&bytes);
        let _ = decode::<(u128, Option<String>, HashMap<String, Vec<Point>>)>(&bytes);
    }

    #[test]
    fn a_value_cut_short_is_an_error(value in everything(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&value).unwrap();
        prop_assert!(decode::<Everything>(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_value_with_one_byte_changed_never_panics(
        value in everything(), at in any::<prop::sample::Index>(), to in any::<u8>()
    ) {
        let mut bytes = encode(&value).unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = decode::<Everything>(&bytes);
    }
}
