//! The hello, its answer, and a runner's wishes, each behind its length.
#![no_main]

use bytes::BytesMut;
use flame_wire::code::OfferReply;
use flame_wire::hello::{Answer, Hello};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Hello::decode(&mut BytesMut::from(bytes));
    let _ = Answer::decode(&mut BytesMut::from(bytes));
    let _ = OfferReply::decode(&mut BytesMut::from(bytes));
});
