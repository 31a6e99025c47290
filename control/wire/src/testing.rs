//! Shared by the tests of several decoders.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes that did not come from an encoder.
pub(crate) fn arbitrary_bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=max)
}

/// Damage to encoded bytes. A damaged message reaches deeper into a decoder than arbitrary bytes
/// do.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Set(Index, u8),
    Cut(Index),
    Append(Vec<u8>),
}

impl Damage {
    pub(crate) fn any() -> impl Strategy<Value = Vec<Damage>> {
        let one = prop_oneof![
            4 => (any::<Index>(), any::<u8>()).prop_map(|(at, to)| Damage::Set(at, to)),
            1 => any::<Index>().prop_map(Damage::Cut),
            1 => vec(any::<u8>(), 1..9).prop_map(Damage::Append),
        ];
        vec(one, 1..4)
    }

    pub(crate) fn all(damage: &[Damage], mut bytes: Vec<u8>) -> Vec<u8> {
        for one in damage {
            match one {
                _ if bytes.is_empty() => {}
                Damage::Set(at, to) => *at.get_mut(&mut bytes) = *to,
                Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
                Damage::Append(more) => bytes.extend_from_slice(more),
            }
        }
        bytes
    }
}
