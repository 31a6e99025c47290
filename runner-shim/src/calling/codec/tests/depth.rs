//! Values that nest too deeply for a stack.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{decode, encode};
use crate::calling::codec::{CodecError, Wire};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    next: Option<Box<Tree>>,
}

/// There is no list, map or struct between its levels.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Link(Box<Chain>),
}

/// There is nothing at all between its levels.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Bare(Option<Box<Bare>>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    next: BTreeMap<String, Flat>,
}

/// Each of its levels has a variant, a struct, an option and a list.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Wide {
    Leaf,
    Struct { next: Option<Vec<Wide>>, text: String, map: BTreeMap<u8, (u8, Option<String>)> },
}

fn tree(levels: usize) -> Tree {
    (1..levels).fold(Tree { next: None }, |tree, _| Tree { next: Some(Box::new(tree)) })
}

fn chain(levels: usize) -> Chain {
    (0..levels).fold(Chain::End, |chain, _| Chain::Link(Box::new(chain)))
}

fn bare(levels: usize) -> Bare {
    (0..levels).fold(Bare(None), |bare, _| Bare(Some(Box::new(bare))))
}

/// Its last level contains a map and a tuple.
fn wide(levels: usize) -> Wide {
    (0..levels.saturating_sub(2) / 2).fold(Wide::Leaf, |wide, _| Wide::Struct {
        next: Some(vec![wide]),
        text: "x".into(),
        map: BTreeMap::from([(1, (2, None))]),
    })
}

/// Runs on a thread as small as those of tokio and of `std`.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[track_caller]
fn too_deep<T: Wire>(value: T) {
    let error = encode(&value).unwrap_err();
    // Dropping it takes as much stack as its depth needs, which is the app's own matter.
    std::mem::forget(value);
    assert!(matches!(error, CodecError::Encode { .. }), "{error:?}");
    assert!(error.to_string().contains("256"), "{error}");
}

#[test]
fn a_value_too_deep_to_be_decoded_is_not_encoded() {
    on_a_small_stack(|| {
        for levels in [257, 1_000, 100_000] {
            too_deep(tree(levels));
            too_deep(chain(levels));
            too_deep(bare(levels));
        }
    });
}

#[test]
fn every_encoded_value_can_be_decoded() {
    on_a_small_stack(|| {
        for levels in [1, 2, 100, 254, 255, 256] {
            let (tree, chain, wide) = (tree(levels), chain(levels), wide(levels));
            assert_eq!(decode::<Tree>(&encode(&tree).unwrap()).unwrap(), tree);
            assert_eq!(decode::<Chain>(&encode(&chain).unwrap()).unwrap(), chain);
            assert_eq!(decode::<Wide>(&encode(&wide).unwrap()).unwrap(), wide);
        }
        for levels in [1, 2, 100, 255] {
            let bare = bare(levels);
            assert_eq!(decode::<Bare>(&encode(&bare).unwrap()).unwrap(), bare);
        }
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    End,
    Link { next: Option<Box<Tagged>> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    End,
    Link { next: Box<Untagged> },
    List(Vec<Untagged>),
}

/// Through serde's own buffer, which nests as deeply.
#[test]
fn every_encoded_value_can_be_decoded_through_serdes_own_buffer() {
    on_a_small_stack(|| {
        for levels in [1, 100, 255] {
            let flat = (1..levels).fold(Flat { next: BTreeMap::new() }, |flat, _| Flat {
                next: BTreeMap::from([("next".to_owned(), flat)]),
            });
            assert_eq!(decode::<Flat>(&encode(&flat).unwrap()).unwrap(), flat);
            let tagged = (1..levels)
                .fold(Tagged::End, |tagged, _| Tagged::Link { next: Some(Box::new(tagged)) });
            assert_eq!(decode::<Tagged>(&encode(&tagged).unwrap()).unwrap(), tagged);
            let untagged = (0..levels / 2).fold(Untagged::End, |untagged, _| {
                Untagged::List(vec![Untagged::Link { next: Box::new(untagged) }])
            });
            assert_eq!(decode::<Untagged>(&encode(&untagged).unwrap()).unwrap(), untagged);
            let json = (0..levels / 2)
                .fold(serde_json::json!(1), |json, _| serde_json::json!([{ "a": json }]));
            assert_eq!(decode::<serde_json::Value>(&encode(&json).unwrap()).unwrap(), json);
        }
    });
}

#[test]
fn bytes_that_nest_endlessly_overflow_no_stack() {
    on_a_small_stack(|| {
        // `{"Link": {"Link": ...`
        assert!(decode::<Chain>(&b"\x81\xa4Link".repeat(100_000)).is_err());
        assert!(decode::<Tree>(&b"\x81\xa4next".repeat(100_000)).is_err());
        assert!(decode::<Flat>(&b"\x81\xa4next".repeat(100_000)).is_err());
        assert!(decode::<Bare>(&[0x91; 100_000]).is_err());
        assert!(decode::<serde_json::Value>(&[0x91; 100_000]).is_err());
        // A field that the type does not have.
        let unknown = [&b"\x82\xa7unknown"[..], &[0x91; 100_000], b"\xc0\xa4next\xc0"].concat();
        let _ = decode::<Tree>(&unknown);
    });
}
