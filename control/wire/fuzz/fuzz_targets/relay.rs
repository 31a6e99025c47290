//! The protocol between a relay and a parent, and the tickets and runner refs in a relay's paths. A
//! message that decodes must survive another round trip.
#![no_main]

use flame_wire::ids::RunnerRef;
use flame_wire::relay::{ParentToRelay, RelayToParent, Ticket};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = ParentToRelay::decode(bytes) {
        let again = message.encode().expect("a decoded message can be encoded");
        assert_eq!(ParentToRelay::decode(&again), Ok(message));
    }
    if let Ok(message) = RelayToParent::decode(bytes) {
        // Encoded with field names, a message may become too long.
        if let Ok(again) = message.encode() {
            assert_eq!(RelayToParent::decode(&again), Ok(message));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(ticket) = text.parse::<Ticket>() {
            assert_eq!(ticket.to_path(), text);
        }
        if let Ok(runner) = text.parse::<RunnerRef>() {
            assert_eq!(runner.to_string(), text);
        }
    }
});
