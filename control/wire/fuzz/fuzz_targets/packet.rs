//! Packets and their frames, one after another, as they arrive on a socket.
#![no_main]

use bytes::BytesMut;
use flame_wire::packet::Packet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = BytesMut::from(bytes);
    while let Ok(Some(_)) = Packet::decode(&mut input) {}
});
