//! Code that the macros can't make remote fails to compile, with a message that says what to write
//! instead. Each `.rs` file in `ui/` is one such case, and the `.stderr` file beside it is the
//! message that the app's author sees. After a change to a message, run
//! `TRYBUILD=overwrite cargo test -p flame-tests-compile-fail` and review the diff.

#[test]
fn code_that_cannot_be_remote_is_rejected_with_advice() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
