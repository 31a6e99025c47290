//! Compile-fail tests of `#[remote]`, `#[test]` and `call!`: see `tests/compile_fail.rs`.
