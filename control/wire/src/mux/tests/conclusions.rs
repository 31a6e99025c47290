//! Conclusions: last messages that replace the queued ones.

use super::*;
use crate::frame::{DataFrame, MessageStart};

#[test]
fn a_conclusion_reaches_a_receiver_that_does_not_read_and_closes_the_stream() {
    // The window is full between two messages, and within a message.
    for len in [1000, 100_000, 10_000_000] {
        let (mut parent, mut runner) = pair();
        let (id, _) = parent.open(0).unwrap();
        parent.send(id, 1, payload(1), true).unwrap();
        carry(&mut parent, &mut runner);
        assert!(runner.claim(id));
        while runner.has_room(id) || carry(&mut runner, &mut parent) > 0 {
            runner.send(id, 3, payload(len), false).unwrap();
        }
        runner.conclude(id, 6, payload(20_000)).unwrap();
        assert!(matches!(runner.conclude(id, 6, payload(1)), Err(SendError::Ended)));
        assert!(matches!(runner.send(id, 6, payload(1), true), Err(SendError::Ended)));
        carry(&mut runner, &mut parent);
        assert!(runner.is_flushed_all(), "nothing waits for a reader");
        assert_eq!(events(&mut parent).last(), Some(&MuxEvent::Closed(id)));
        let mut messages = std::iter::from_fn(|| parent.receive(id)).collect::<Vec<_>>();
        let last = messages.pop().unwrap();
        assert_eq!((last.tag, last.body.len(), last.end), (6, 20_000, true));
        assert!(messages.iter().all(|message| message.body.len() == len), "only whole ones");
        assert!(messages.len() * len <= CONFIG.window as usize + len);
    }
}

#[test]
fn a_conclusion_after_a_reset_closes_the_stream() {
    let (mut parent, mut runner) = pair();
    let (id, _) = parent.open(0).unwrap();
    parent.send(id, 1, payload(1), true).unwrap();
    carry(&mut parent, &mut runner);
    runner.claim(id);
    parent.release(id);
    carry(&mut parent, &mut runner);
    runner.conclude(id, 6, payload(1)).unwrap();
    runner.detach(id);
    carry(&mut runner, &mut parent);
    assert!(parent.is_idle() && runner.is_idle());
}

#[test]
fn only_a_conclusion_may_cut_off_a_message() {
    let frame = |start, end, len| {
        let start = Some(MessageStart { tag: 3, total: start });
        let payload = Bytes::from(vec![0; len]);
        Frame::Data(DataFrame { stream: StreamId(1), start, opens: None, end, payload })
    };
    for bad in [frame(10, false, 10), frame(20, false, 10)] {
        let (mut parent, _) = pair();
        let first = DataFrame {
            stream: StreamId(1),
            start: Some(MessageStart { tag: 3, total: 9 }),
            opens: Some(vec![]),
            end: false,
            payload: Bytes::from_static(b"1"),
        };
        parent.handle_frame(Frame::Data(first)).unwrap();
        assert_eq!(parent.handle_frame(bad), Err(MuxViolation::Sequence(StreamId(1))));
    }
}
