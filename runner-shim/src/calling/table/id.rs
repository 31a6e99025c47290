//! The id of a function: FNV-1a, 64 bit, computed while the app compiles.
//!
//! The location is not hashed, so that a comment added above a function does not change its id. Two
//! functions with the same id are an error at the start, see [`check`](super::check()).

use flame_wire::ids::FunctionId;

use super::Kind;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

pub(super) const fn function_id(
    name: &str,
    version: &str,
    signature: &str,
    kind: Kind,
) -> FunctionId {
    let kind = match kind {
        Kind::Async => "async",
        Kind::Plain => "plain",
        Kind::Stream => "stream",
    };
    let hash = add(add(add(add(OFFSET, name), version), signature), kind);
    FunctionId(hash)
}

/// Hashes `text`, and then a byte that never occurs in UTF-8, so that adjacent parts stay separate.
const fn add(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(PRIME);
        at += 1;
    }
    (hash ^ 0xff).wrapping_mul(PRIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_across_builds() {
        assert_eq!(
            function_id("app::f", "1.0.0", "(u32) -> u32", Kind::Async).0,
            0xc718_8a69_cfc3_63f7
        );
    }

    #[test]
    fn every_part_of_a_signature_changes_the_id() {
        let ids = [
            function_id("app::f", "1.0.0", "(u32) -> u32", Kind::Async),
            function_id("app::g", "1.0.0", "(u32) -> u32", Kind::Async),
            function_id("app::f", "1.0.1", "(u32) -> u32", Kind::Async),
            function_id("app::f", "1.0.0", "(u64) -> u32", Kind::Async),
            function_id("app::f", "1.0.0", "(u32) -> u32", Kind::Plain),
            function_id("app::f1", ".0.0", "(u32) -> u32", Kind::Async),
        ];
        let distinct: std::collections::HashSet<_> = ids.iter().map(|id| id.0).collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
