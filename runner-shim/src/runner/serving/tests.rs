//! Calls over a link in memory, seen from the parent.

use bytes::Bytes;
use flame_link::{Driver, Link, LinkConfig, SocketSource, in_memory};
use flame_wire::body::BodyWriter;
use flame_wire::ids::FunctionId;
use flame_wire::mux::{Payload, Side};

use super::*;

/// A parent that receives no calls.
struct IgnoresAll;

impl Handler for IgnoresAll {
    fn on_stream_opened(&mut self, _: Stream, _: Message) {}
    fn on_control(&mut self, _: Message) {}
}

/// A runner's calls, and the parent's link to the runner.
fn runner(max_depth: u8) -> (Arc<Calls>, Link) {
    let (events, _) = mpsc::unbounded_channel();
    let calls = Calls::new(RunnerRef::from_bytes([7; 16]), max_depth, events);
    let ((a, b), config) = (in_memory(), LinkConfig::default());
    let (parent, driver) = Driver::new(Side::Parent, config, |_| IgnoresAll);
    // Neither side gets another socket.
    let (_, none) = mpsc::channel(1);
    tokio::spawn(driver.run(a, SocketSource::Accepted(none)));
    let handler = CallHandler { calls: calls.clone(), addresses: ParentAddresses::default() };
    let (_, driver) = Driver::new(Side::Runner, config, |_| handler);
    let dial: flame_link::Dial = Box::new(|| Box::pin(std::future::pending()));
    tokio::spawn(driver.run(b, SocketSource::Dialled(dial)));
    (calls, parent)
}

fn header(depth: u8) -> CallHeader {
    CallHeader { depth, ..CallHeader::new(FunctionId(1)) }
}

/// The runner's answer to a call with two channels, once it has closed them.
async fn rejected(parent: &Link, header: Option<CallHeader>) -> CallFailure {
    let (mut stream, channels) = parent
        .open(2, None, |_, channels| {
            let payload = match header {
                Some(header) => {
                    let channels = channels.iter().map(|id| id.0).collect();
                    let body = BodyWriter::new().finish(Vec::new()).unwrap();
                    CallHeader { channels, ..header }.encode(body).unwrap().into()
                }
                None => Payload::from(Bytes::from_static(b"?")),
            };
            Ok((Tag::Call.into(), payload, true))
        })
        .unwrap();
    let message = stream.receive().await.unwrap().unwrap();
    assert!(message.end && message.tag == u8::from(Tag::Failed));
    for channel in channels {
        let gone = tokio::time::timeout(Duration::from_secs(5), channel.reset_by_peer()).await;
        gone.expect("the channels of a rejected call are lost");
    }
    CallFailure::decode(&message.body).unwrap()
}

#[tokio::test]
async fn a_rejected_call_closes_its_channels() {
    let (calls, parent) = runner(3);
    let unknown = rejected(&parent, Some(header(0))).await;
    assert!(matches!(unknown, CallFailure::UnknownFunction { .. }), "{unknown:?}");
    let deep = rejected(&parent, Some(header(4))).await;
    assert_eq!(deep, CallFailure::DepthExceeded { limit: 3 });
    let unreadable = rejected(&parent, None).await;
    assert!(matches!(unreadable, CallFailure::Codec { .. }), "{unreadable:?}");
    calls.stop_accepting();
    assert_eq!(rejected(&parent, Some(header(0))).await, CallFailure::Draining);
}

#[tokio::test]
async fn a_depth_that_can_no_longer_be_counted_is_rejected_even_under_the_highest_limit() {
    let (_, parent) = runner(u8::MAX);
    let deep = rejected(&parent, Some(header(254))).await;
    assert!(matches!(deep, CallFailure::UnknownFunction { .. }), "{deep:?}");
    let deep = rejected(&parent, Some(header(255))).await;
    assert_eq!(deep, CallFailure::DepthExceeded { limit: 255 });
}

#[tokio::test]
async fn valid_addresses_from_the_parent_replace_the_old_ones() {
    let list = |addresses: &[&str]| addresses.iter().map(|&a| a.to_owned()).collect::<Vec<_>>();
    let addresses = ParentAddresses::new(list(&["ws://old"]));
    let (events, _) = mpsc::unbounded_channel();
    let calls = Calls::new(RunnerRef::from_bytes([7; 16]), 1, events);
    let mut handler = CallHandler { calls, addresses: addresses.clone() };
    let mut send = |sent: &[&str]| {
        let body = ParentToRunner::Addresses { addresses: list(sent) }.encode().unwrap();
        handler.on_control(Message { tag: Tag::Control.into(), body, end: false });
    };
    send(&["ws://new", "wss://other/v1/runner/f-1"]);
    let new = addresses.in_order();
    assert_eq!(new, ["ws://new", "wss://other/v1/runner/f-1"]);
    for invalid in [[].as_slice(), &["ws://a"; 4], &["ws://a", "http://b"], &["ws://a?query"]] {
        send(invalid);
        assert_eq!(addresses.in_order(), new, "{invalid:?}");
    }
}
