//! FLAME_PARENT, as text, and as a document with a valid length and checksum, since no mutation
//! passes those checks. A document that decodes must survive another round trip.
#![no_main]

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flame_wire::FlameParent;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
    if let Ok(len) = u16::try_from(bytes.len()) {
        let sealed = [&len.to_le_bytes(), &digest(&SHA256, bytes).as_ref()[..8], bytes].concat();
        check(&format!("flame1.{}", URL_SAFE_NO_PAD.encode(sealed)));
    }
});

fn check(text: &str) {
    let Ok(parent) = FlameParent::decode(text) else { return };
    let again = parent.encode().expect("a decoded document can be encoded");
    assert_eq!(FlameParent::decode(&again), Ok(parent));
}
