//! The messages of the control stream, and failures.
#![no_main]

use flame_wire::CallFailure;
use flame_wire::message::{ParentToRunner, RunnerToParent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = ParentToRunner::decode(bytes);
    let _ = RunnerToParent::decode(bytes);
    let _ = CallFailure::decode(bytes);
});
