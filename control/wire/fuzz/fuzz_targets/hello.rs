//! The hello, the parent's reply, and the messages that follow an offer, each with its length prefix.
//! A message that decodes must survive another round trip, except that long texts are cut off.
#![no_main]

use bytes::BytesMut;
use flame_wire::code::{OfferReply, StoreReply};
use flame_wire::hello::{Hello, HelloReply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(mut hello)) = Hello::decode(&mut BytesMut::from(bytes)) {
        let mut again = BytesMut::new();
        // Encoded with field names, a message may become too long.
        if hello.encode_to(&mut again).is_ok() {
            let decoded = Hello::decode(&mut again).expect("an encoded hello can be decoded");
            let decoded = decoded.expect("an encoded hello is complete");
            assert!(hello.instance.starts_with(&decoded.instance), "cut off");
            hello.instance.truncate(decoded.instance.len());
            assert_eq!(decoded, hello);
            assert!(again.is_empty(), "the whole message was decoded");
        }
    }
    if let Ok(Some(reply)) = HelloReply::decode(&mut BytesMut::from(bytes)) {
        let mut again = BytesMut::new();
        if reply.encode_to(&mut again).is_ok() {
            HelloReply::decode(&mut again).expect("an encoded reply can be decoded");
        }
    }
    if let Ok(Some(reply)) = OfferReply::decode(&mut BytesMut::from(bytes)) {
        let mut again = BytesMut::new();
        if reply.encode_to(&mut again).is_ok() {
            OfferReply::decode(&mut again).expect("an encoded reply can be decoded");
        }
    }
    let _ = StoreReply::decode(&mut BytesMut::from(bytes));
});
