//! Packets and the frames in them, as a socket brings them: one behind another.
#![no_main]

use bytes::BytesMut;
use flame_wire::packet::Packet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = BytesMut::from(bytes);
    while let Ok(Some(_)) = Packet::decode(&mut input) {}
});
