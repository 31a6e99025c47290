//! Lists of `u8`, which are written as bytes and read as lists, as serde expects.

use std::{
    borrow::Cow,
    collections::{BTreeSet, VecDeque},
};

use serde::{Deserialize, Serialize};

use super::{crosses, decode, encode};
use crate::calling::codec::Wire;

fn bytes() -> Vec<u8> {
    (0..=255).cycle().take(1000).collect()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Image {
    name: String,
    pixels: Vec<u8>,
}

/// As long as its bytes, plus a small overhead.
#[track_caller]
fn goes_as_bytes<T: Wire + PartialEq + std::fmt::Debug>(value: T) {
    let len = encode(&value).unwrap().len();
    assert!(len < 1000 + 40, "{len}");
    crosses(value);
}

#[test]
fn lists_of_bytes_are_written_as_bytes_everywhere() {
    goes_as_bytes(bytes());
    goes_as_bytes(Some(bytes()));
    goes_as_bytes(bytes().into_boxed_slice());
    goes_as_bytes(Ok::<Vec<u8>, String>(bytes()));
    goes_as_bytes(Cow::<'static, [u8]>::Owned(bytes()));
    goes_as_bytes(VecDeque::from(bytes()));
    goes_as_bytes(Image { name: "a".into(), pixels: bytes() });
    goes_as_bytes((1_u8, vec![Some(Box::new(bytes()))]));
    goes_as_bytes(Flat { image: Image { name: "a".into(), pixels: bytes() } });
    crosses((bytes()[..32].try_into() as Result<[u8; 32], _>).unwrap());
    crosses(BTreeSet::from_iter(bytes()));
    assert_eq!(encode(&[255_u8; 32]).unwrap().len(), 3 + 32);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    image: Image,
}

#[test]
fn lists_of_every_length_cross() {
    for len in (0..40).chain([254, 255, 256, 257, 65_535, 65_536, 65_537]) {
        let list: Vec<u8> = (0..=255).rev().cycle().take(len).collect();
        crosses(list.clone());
        crosses(vec![Some(list.clone()), None, Some(list)]);
    }
}

#[test]
fn an_untagged_list_of_bytes_is_not_text() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Data {
        Text(String),
        Bytes(Vec<u8>),
        Nested(Vec<Data>),
        Image(Image),
    }
    crosses(vec![
        Data::Bytes(b"a text, by the look of it".to_vec()),
        Data::Text("a text, by the look of it".into()),
        Data::Image(Image { name: "a".into(), pixels: b"a text, by the look of it".to_vec() }),
        Data::Nested(vec![Data::Text("a".into()), Data::Bytes(bytes())]),
    ]);
}

#[test]
fn a_list_of_bytes_can_be_read_as_any_list() {
    let encoded = encode(&bytes()).unwrap();
    let wide: Vec<u64> = decode(&encoded).unwrap();
    assert!(wide.iter().copied().eq(bytes().into_iter().map(u64::from)));
    let options: Vec<Option<u8>> = decode(&encoded).unwrap();
    assert_eq!(options.len(), 1000);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Byte(u8);
    assert_eq!(decode::<Vec<Byte>>(&encoded).unwrap()[7], Byte(7));
    assert_eq!(decode::<serde_json::Value>(&encoded).unwrap(), serde_json::json!(bytes()));
    assert_eq!(decode::<serde_bytes::ByteBuf>(&encoded).unwrap(), bytes());
    let forced = encode(&serde_bytes::ByteBuf::from(bytes())).unwrap();
    assert_eq!(decode::<Vec<u8>>(&forced).unwrap(), bytes());
}

/// A tuple, or a list serialized by hand, that begins with bytes and continues with something else.
#[test]
fn a_list_that_only_begins_with_bytes_crosses() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Mixed(Vec<u64>);
    impl Serialize for Mixed {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut list = to.serialize_seq(Some(self.0.len()))?;
            for &number in &self.0 {
                match u8::try_from(number) {
                    Ok(byte) => list.serialize_element(&byte)?,
                    Err(_) => list.serialize_element(&number)?,
                }
            }
            list.end()
        }
    }
    for at in [0, 1, 19, 20, 39] {
        let mut list: Vec<u64> = (200..240).collect();
        list[at] = 1_000_000;
        crosses(Mixed(list));
    }
    crosses(Mixed((200..240).collect()));
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[rustfmt::skip]
    struct Many(u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, Option<u8>, String);
    let a = 200_u8;
    crosses(Many(a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, None, "text".into()));
    crosses((a, a, a, a, a, a, a, a, (a, a, a), Some(a)));
}

#[test]
fn a_byte_list_with_a_false_length_takes_no_memory() {
    for head in [&b"\xc9\xff\xff\xff\xff\x04"[..], b"\xc8\xff\xff\x04", b"\xc7\xff\x04"] {
        assert!(decode::<Vec<u8>>(head).is_err());
        assert!(decode::<serde_json::Value>(head).is_err());
    }
}
