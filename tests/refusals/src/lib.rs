//! Compile-fail tests of `#[remote]`, `#[test]` and `call!`: see `tests/refusals.rs`.
