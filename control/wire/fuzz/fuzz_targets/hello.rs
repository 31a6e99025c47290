//! The hello, the parent's reply, and the messages that follow an offer, each with its length prefix.
#![no_main]

use bytes::BytesMut;
use flame_wire::code::{OfferReply, StoreReply};
use flame_wire::hello::{Hello, HelloReply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Hello::decode(&mut BytesMut::from(bytes));
    let _ = HelloReply::decode(&mut BytesMut::from(bytes));
    let _ = OfferReply::decode(&mut BytesMut::from(bytes));
    let _ = StoreReply::decode(&mut BytesMut::from(bytes));
});
