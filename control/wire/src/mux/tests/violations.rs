//! Messages that can't be sent, and frames that break the protocol.

use super::*;
use crate::frame::{DataFrame, MessageStart};

#[test]
fn a_message_above_the_limit_is_rejected_before_it_is_queued() {
    let (mut parent, _) = pair();
    let (id, _) = parent.open(0).unwrap();
    let size = CONFIG.max_message + 1;
    let parts = (0..size >> 20).map(|_| Bytes::from_static(&[0; 1 << 20]));
    let payload = Payload::new(Bytes::from_static(&[0]), parts);
    assert_eq!(
        parent.send(id, 1, payload, true),
        Err(SendError::TooLarge { size, limit: CONFIG.max_message })
    );
    assert_eq!(parent.poll_frame(), None);
    assert_eq!(
        parent.send(StreamId(99), 1, Payload::default(), true),
        Err(SendError::Ended),
        "no such stream"
    );
}

fn data(stream: u64, total: Option<u64>, len: usize, opens: bool, end: bool) -> Frame {
    Frame::Data(DataFrame {
        stream: StreamId(stream),
        start: total.map(|total| MessageStart { tag: 1, total }),
        opens: opens.then(Vec::new),
        end,
        payload: Bytes::from(vec![0; len]),
    })
}

#[test]
fn protocol_violations_are_detected() {
    let id = StreamId(2);
    let (_, runner) = pair();
    let violation = |frames: Vec<Frame>| {
        let mut runner = Mux::new(Side::Runner, *runner.config());
        frames.into_iter().find_map(|frame| runner.handle_frame(frame).err())
    };
    assert_eq!(
        violation(vec![data(2, Some(1 << 40), 1, true, false)]),
        Some(MuxViolation::TooLarge { size: 1 << 40, limit: CONFIG.max_message })
    );
    assert_eq!(
        violation(vec![data(2, Some(1), 2, true, false)]),
        Some(MuxViolation::Sequence(id)),
        "beyond its length"
    );
    assert_eq!(violation(vec![data(2, None, 2, true, false)]), Some(MuxViolation::Sequence(id)));
    assert_eq!(
        violation(vec![data(2, Some(9), 2, true, true)]),
        Some(MuxViolation::Sequence(id)),
        "an end within a message"
    );
    assert_eq!(
        violation(vec![data(3, Some(1), 1, true, false)]),
        Some(MuxViolation::Number(StreamId(3))),
        "a number of this side"
    );
    assert_eq!(
        violation(vec![data(2, Some(1), 1, true, false), data(2, Some(1), 1, true, false)]),
        Some(MuxViolation::Number(id))
    );
    assert_eq!(
        violation((1..10).map(|n| data(2 * n, Some(1), 1, true, false)).collect()),
        Some(MuxViolation::Streams(8))
    );
    let flood = std::iter::once(data(2, Some(1 << 25), 32_000, true, false))
        .chain((0..1000).map(|_| data(2, None, 32_000, false, false)));
    let mut runner = Mux::new(Side::Runner, CONFIG);
    runner.handle_frame(data(2, Some(1), 1, true, false)).unwrap();
    let flood = flood.skip(1).map(|_| data(2, Some(32_000), 32_000, false, false));
    let error = flood.into_iter().find_map(|frame| runner.handle_frame(frame).err());
    assert_eq!(error, Some(MuxViolation::Window(id)), "a sender without credit");
    assert_eq!(violation(vec![data(8, None, 2, false, false)]), None, "an unknown stream");
}
