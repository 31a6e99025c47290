//! Code that cannot be remote does not compile, and the error says what to write instead. Each file of
//! `ui/` is one case, and the `.stderr` beside it is the error. After changing the messages, run
//! `TRYBUILD=overwrite cargo test -p flame-macros --test refusals` and review the diff.

#[test]
fn code_that_cannot_be_remote_is_rejected_with_advice() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
