//! Types as apps derive them, with arbitrary values.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, LinkedList, VecDeque},
    marker::PhantomData,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    num::{NonZeroI64, NonZeroU8, Wrapping},
    ops::{Bound, Range, RangeInclusive},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{crosses, preserved::crosses_behind_everything};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum External {
    Unit,
    Newtype(Box<CallOptions>),
    Tuple(u8, Option<()>, Option<Option<char>>),
    Struct { ip: IpAddr, rest: Option<Box<External>> },
    Empty {},
    None(),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Internal {
    Unit,
    Newtype(CallOptions),
    Map(BTreeMap<String, Option<Option<u8>>>),
    Struct { external: External, nothing: () },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "content")]
enum Adjacent {
    Unit,
    Newtype(Option<()>),
    Tuple(u128, External),
    Struct { internal: Internal },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
    Struct { internal: Internal, optional: Option<Option<()>> },
    Many(Vec<Untagged>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallOptions {
    unit: Option<()>,
    nested: Option<Option<Option<u8>>>,
    many: Vec<Option<Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    skipped_none: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bytes: Vec<u8>,
    #[serde(default)]
    phantom: PhantomData<u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Flattened {
    id: Cow<'static, str>,
    wide: i128,
    #[serde(flatten)]
    options: CallOptions,
    #[serde(flatten)]
    internal: Option<Internal>,
}

type CowBytes = Cow<'static, [u8]>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Standard {
    address: (IpAddr, SocketAddr, SocketAddrV6),
    time: (Duration, SystemTime),
    numbers: (NonZeroU8, Option<NonZeroI64>, Wrapping<u32>, f32, char),
    ranges: (Range<u8>, RangeInclusive<i64>, Bound<Option<u8>>),
    owned: (Box<str>, PathBuf, Box<[u8]>, CowBytes),
    arrays: ([u8; 20], [Option<u8>; 3], [(); 2]),
    keys: BTreeMap<(IpAddr, Option<()>), BTreeSet<NonZeroU8>>,
    lists: (VecDeque<u8>, LinkedList<Option<()>>, HashMap<char, i8>),
    result: Result<Option<()>, Option<String>>,
}

fn text() -> impl Strategy<Value = String> {
    ".{0,20}"
}

fn options() -> impl Strategy<Value = CallOptions> {
    (
        any::<Option<()>>(),
        any::<Option<Option<Option<u8>>>>(),
        prop::collection::vec(prop::option::of(prop::option::of(text())), 0..4),
        any::<Option<i64>>(),
        prop::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(unit, nested, many, skipped_none, bytes)| CallOptions {
            unit,
            nested,
            many,
            skipped_none,
            bytes,
            phantom: PhantomData,
        })
}

fn external() -> impl Strategy<Value = External> {
    let leaf = prop_oneof![
        Just(External::Unit),
        Just(External::Empty {}),
        Just(External::None()),
        options().prop_map(|options| External::Newtype(options.into())),
        any::<(u8, Option<()>, Option<Option<char>>)>()
            .prop_map(|(a, b, c)| External::Tuple(a, b, c)),
    ];
    leaf.prop_recursive(3, 6, 1, |inner| {
        (any::<IpAddr>(), prop::option::of(inner.prop_map(Box::new)))
            .prop_map(|(ip, rest)| External::Struct { ip, rest })
    })
}

fn internal() -> impl Strategy<Value = Internal> {
    prop_oneof![
        Just(Internal::Unit),
        options().prop_map(Internal::Newtype),
        prop::collection::btree_map("[a-j]{1,9}", any::<Option<Option<u8>>>(), 0..4)
            .prop_map(Internal::Map),
        external().prop_map(|external| Internal::Struct { external, nothing: () }),
    ]
}

fn adjacent() -> impl Strategy<Value = Adjacent> {
    prop_oneof![
        Just(Adjacent::Unit),
        any::<Option<()>>().prop_map(Adjacent::Newtype),
        (any::<u128>(), external()).prop_map(|(wide, external)| Adjacent::Tuple(wide, external)),
        internal().prop_map(|internal| Adjacent::Struct { internal }),
    ]
}

fn untagged() -> impl Strategy<Value = Untagged> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Untagged::Number),
        text().prop_map(Untagged::Text),
        // An empty list could be a list of any type.
        prop::collection::vec(any::<u8>(), 1..40).prop_map(Untagged::Bytes),
        (internal(), any::<Option<Option<()>>>())
            .prop_map(|(internal, optional)| Untagged::Struct { internal, optional }),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        // A list of nothing but small numbers is a list of bytes.
        prop::collection::vec(inner, 1..4).prop_map(|mut many| {
            many.push(Untagged::Text(String::new()));
            Untagged::Many(many)
        })
    })
}

fn standard() -> impl Strategy<Value = Standard> {
    let scoped = any::<(std::net::Ipv6Addr, u16, u32)>()
        .prop_map(|(ip, port, scope)| SocketAddrV6::new(ip, port, 0, scope));
    // The text form of an IPv6 address has a scope, but no flow label.
    let socket = prop_oneof![
        any::<std::net::SocketAddrV4>().prop_map(SocketAddr::V4),
        scoped.clone().prop_map(SocketAddr::V6),
    ];
    let address = (any::<IpAddr>(), socket, scoped);
    let time = (any::<Duration>(), 0..u64::MAX / 4, 0..1_000_000_000_u32)
        .prop_map(|(span, s, ns)| (span, SystemTime::UNIX_EPOCH + Duration::new(s, ns)));
    let numbers = (any::<NonZeroU8>(), any::<Option<NonZeroI64>>(), any::<u32>(), any::<f32>())
        .prop_flat_map(|(a, b, c, d)| {
            any::<char>().prop_map(move |character| (a, b, Wrapping(c), d, character))
        });
    let ranges =
        any::<(u8, u8, i64, i64, Option<u8>, bool)>().prop_map(|(a, b, c, d, e, unbounded)| {
            (a..b, c..=d, if unbounded { Bound::Unbounded } else { Bound::Excluded(e) })
        });
    let owned = (text(), text(), any::<Vec<u8>>(), any::<Vec<u8>>())
        .prop_map(|(a, b, c, d)| (a.into(), b.into(), c.into(), Cow::Owned(d)));
    let arrays = any::<([u8; 20], [Option<u8>; 3])>().prop_map(|(a, b)| (a, b, [(); 2]));
    let keys = prop::collection::btree_map(
        any::<(IpAddr, Option<()>)>(),
        prop::collection::btree_set(any::<NonZeroU8>(), 0..40),
        0..4,
    );
    let lists = (
        prop::collection::vec_deque(any::<u8>(), 0..40),
        prop::collection::linked_list(any::<Option<()>>(), 0..4),
        prop::collection::hash_map(any::<char>(), any::<i8>(), 0..4),
    );
    let result = prop::result::maybe_ok(any::<Option<()>>(), prop::option::of(text()));
    (address, time, numbers, ranges, owned, arrays, keys, lists, result).prop_map(
        |(address, time, numbers, ranges, owned, arrays, keys, lists, result)| Standard {
            address,
            time,
            numbers,
            ranges,
            owned,
            arrays,
            keys,
            lists,
            result,
        },
    )
}

proptest! {
    #[test]
    fn enums_of_every_kind_cross_everywhere(
        external in external(), internal in internal(), untagged in untagged()
    ) {
        crosses_behind_everything(external);
        crosses_behind_everything(internal);
        crosses_behind_everything(untagged);
    }

    #[test]
    fn wide_integers_cross_where_nothing_is_buffered(
        adjacent in adjacent(), id in text(), wide in any::<i128>(), options in options()
    ) {
        crosses(vec![Some(adjacent), None]);
        crosses(Flattened { id: id.into(), wide, options, internal: None });
    }

    #[test]
    fn flattened_structs_and_enums_cross(options in options(), internal in internal()) {
        let overlaps = matches!(internal, Internal::Newtype(_) | Internal::Map(_));
        prop_assume!(!overlaps);
        crosses(Flattened { id: "".into(), wide: 0, options, internal: Some(internal) });
    }

    #[test]
    fn types_of_the_standard_library_cross_everywhere(standard in standard()) {
        crosses_behind_everything(standard);
    }
}
