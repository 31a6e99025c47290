//! The messages in MessagePack: those of the control stream, and failures.
#![no_main]

use flame_wire::Failure;
use flame_wire::message::{ParentToRunner, RunnerToParent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = ParentToRunner::decode(bytes);
    let _ = RunnerToParent::decode(bytes);
    let _ = Failure::decode(bytes);
});
