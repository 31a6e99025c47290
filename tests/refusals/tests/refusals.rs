//! What cannot be remote is refused while the app compiles, with a message that says what to write
//! instead. Each file of `ui/` is one refusal, and the `.stderr` beside it is what the app's author
//! reads. After a change to the messages: `TRYBUILD=overwrite cargo test -p flame-tests-refusals`,
//! and read the difference.

#[test]
fn code_that_cannot_be_remote_is_rejected_with_advice() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
