//! A call's header and the body behind it, and a body on its own, as in a result.
#![no_main]

use bytes::Bytes;
use flame_wire::{CallHeader, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut message = Bytes::copy_from_slice(bytes);
    let _ = Value::decode(message.clone());
    if CallHeader::decode(&mut message).is_ok() {
        let _ = Value::decode(message);
    }
});
