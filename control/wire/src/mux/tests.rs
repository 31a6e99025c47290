use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;

use super::{Mux, MuxConfig, MuxEvent, MuxViolation, Payload, SendError, Side, TooManyStreams};
use crate::frame::{DataFrame, Frame, MAX_FRAME, MessageStart, StreamId};

const CONFIG: MuxConfig = MuxConfig { window: 256 * 1024, max_message: 1 << 26, max_streams: 8 };

fn pair() -> (Mux, Mux) {
    (Mux::new(Side::Parent, CONFIG), Mux::new(Side::Runner, CONFIG))
}

fn payload(len: usize) -> Payload {
    Bytes::from(vec![7; len]).into()
}

/// Moves every frame from one side to the other, and returns the length of the longest.
fn carry(from: &mut Mux, to: &mut Mux) -> usize {
    let mut longest = 0;
    while let Some(frame) = from.poll_frame() {
        longest = longest.max(frame.encoded_len());
        to.handle_frame(frame).unwrap();
    }
    longest
}

fn events(mux: &mut Mux) -> Vec<MuxEvent> {
    std::iter::from_fn(|| mux.poll_event()).collect()
}

#[test]
fn a_call_and_its_reply_take_one_frame_each_and_close_the_stream() {
    let (mut parent, mut runner) = pair();
    let (id, _) = parent.open(0).unwrap();
    parent.send(id, 1, payload(64), true).unwrap();
    let call = parent.poll_frame().unwrap();
    assert_eq!(parent.poll_frame(), None);
    runner.handle_frame(call).unwrap();
    assert_eq!(events(&mut runner), [MuxEvent::Opened(id)]);
    assert!(runner.claim(id));
    assert_eq!(runner.receive(id).unwrap().body.len(), 64);
    runner.send(id, 2, payload(8), true).unwrap();
    let reply = runner.poll_frame().unwrap();
    assert_eq!(runner.poll_frame(), None);
    assert_eq!(events(&mut runner), [MuxEvent::Closed(id)]);
    parent.handle_frame(reply).unwrap();
    assert_eq!(events(&mut parent), [MuxEvent::Readable(id), MuxEvent::Closed(id)]);
    assert_eq!(parent.receive(id).unwrap().body.len(), 8);
    parent.release(id);
    runner.release(id);
    assert!(parent.is_idle() && runner.is_idle());
}

#[test]
fn a_large_message_does_not_hold_up_a_small_one() {
    let (mut parent, mut runner) = pair();
    let (large, _) = parent.open(0).unwrap();
    let (small, _) = parent.open(0).unwrap();
    parent.send(large, 1, payload(64 << 20), true).unwrap();
    parent.send(small, 1, payload(64), true).unwrap();
    let order: Vec<_> = std::iter::from_fn(|| parent.poll_frame()).collect();
    let at = order.iter().position(|f| matches!(f, Frame::Data(d) if d.stream == small)).unwrap();
    assert_eq!(at, 1, "the small message goes second");
    let sent: usize = order.iter().map(Frame::encoded_len).sum();
    assert!(sent < 2 * CONFIG.window as usize, "credit bounds what is under way: {sent}");
    for frame in order {
        runner.handle_frame(frame).unwrap();
    }
    let mut longest = 0;
    while !runner.is_ended(large) {
        carry(&mut runner, &mut parent);
        longest = longest.max(carry(&mut parent, &mut runner));
    }
    runner.claim(large);
    assert_eq!(runner.receive(large).unwrap().body.len(), 64 << 20);
    assert!(longest <= MAX_FRAME);
}

#[test]
fn a_receiver_that_does_not_read_stops_its_sender() {
    let (mut parent, mut runner) = pair();
    let (id, _) = parent.open(0).unwrap();
    let mut sent = 0;
    while parent.has_room(id) || carry(&mut parent, &mut runner) > 0 {
        carry(&mut runner, &mut parent);
        parent.send(id, 3, payload(10_000), false).unwrap();
        sent += 1;
        assert!(sent < 1000, "nothing stops it");
    }
    runner.claim(id);
    let mut got = 0;
    while runner.receive(id).is_some() {
        got += 1;
        carry(&mut runner, &mut parent);
        carry(&mut parent, &mut runner);
    }
    assert_eq!(got, sent, "it goes on where it was read");
    assert!(events(&mut parent).contains(&MuxEvent::Writable(id)));
}

/// A stream with a message limit that the parent has opened. The runner has read its first message.
fn limited(limit: u32) -> (Mux, Mux, StreamId) {
    let (mut parent, mut runner) = pair();
    let (id, _) = parent.open(0).unwrap();
    parent.send(id, 3, payload(1), false).unwrap();
    carry(&mut parent, &mut runner);
    assert!(runner.claim(id));
    parent.set_message_limit(id, limit);
    runner.set_message_limit(id, limit);
    assert!(runner.receive(id).is_some());
    carry(&mut runner, &mut parent);
    events(&mut parent);
    (parent, runner, id)
}

/// Sends messages while there is room, and returns how many.
fn send_while_room(from: &mut Mux, to: &mut Mux, id: StreamId) -> usize {
    let mut sent = 0;
    while from.has_room(id) {
        from.send(id, 3, payload(1), false).unwrap();
        carry(from, to);
        sent += 1;
    }
    sent
}

#[test]
fn a_message_limit_stops_a_sender_whose_messages_are_not_read() {
    for (limit, half) in [(1, 1), (2, 1), (3, 1), (8, 4), (100, 50)] {
        let (mut parent, mut runner, id) = limited(limit);
        let sent = send_while_room(&mut parent, &mut runner, id);
        // The message that was read before may not have been half of the limit.
        assert!((limit as usize - 1..=limit as usize).contains(&sent), "{sent} of {limit}");
        for _ in 0..limit {
            runner.receive(id).unwrap();
            carry(&mut runner, &mut parent);
            if parent.has_room(id) {
                break;
            }
        }
        assert!(events(&mut parent).contains(&MuxEvent::Writable(id)), "a waiting sender is told");
        assert_eq!(send_while_room(&mut parent, &mut runner, id), half, "{limit}");
    }
}

#[test]
fn the_last_message_and_a_conclusion_are_not_held_back_by_a_limit() {
    for conclude in [false, true] {
        let (mut parent, mut runner, id) = limited(4);
        let sent = send_while_room(&mut parent, &mut runner, id);
        if conclude {
            parent.conclude(id, 6, payload(1)).unwrap();
        } else {
            assert!(parent.is_within_credit(id));
            parent.send(id, 5, payload(0), true).unwrap();
        }
        carry(&mut parent, &mut runner);
        let messages = std::iter::from_fn(|| runner.receive(id)).collect::<Vec<_>>();
        assert_eq!(messages.len(), sent + 1);
        assert!(messages.last().unwrap().end);
    }
}

#[test]
fn a_message_can_be_marked_as_read_after_it_was_received() {
    let (mut parent, mut runner, id) = limited(4);
    runner.mark_read_manually(id);
    let mut waiting = send_while_room(&mut parent, &mut runner, id);
    for _ in 0..3 {
        while runner.receive(id).is_some() {}
        carry(&mut runner, &mut parent);
        assert!(!parent.has_room(id), "the app has not read them");
        runner.mark_read(id, 2);
        waiting -= 2;
        carry(&mut runner, &mut parent);
        waiting += send_while_room(&mut parent, &mut runner, id);
        assert!(waiting <= 4, "{waiting}");
    }
}

#[test]
fn messages_on_a_detached_stream_are_not_held_back_by_a_limit() {
    let (mut parent, mut runner, id) = limited(4);
    send_while_room(&mut parent, &mut runner, id);
    runner.detach(id);
    for _ in 0..100 {
        carry(&mut runner, &mut parent);
        assert!(parent.has_room(id));
        parent.send(id, 3, payload(1), false).unwrap();
        carry(&mut parent, &mut runner);
    }
}

proptest! {
    #[test]
    fn a_sender_is_never_more_than_the_limit_ahead_and_never_stuck(
        limit in 1..20u32,
        turns in prop::collection::vec((0..3u8, 1..8usize), 0..200),
    ) {
        let (mut parent, mut runner, id) = limited(limit);
        let (mut sent, mut read) = (0, 0);
        for (turn, n) in turns {
            for _ in 0..n {
                match turn {
                    0 if parent.has_room(id) => {
                        parent.send(id, 3, payload(sent % 3), false).unwrap();
                        sent += 1;
                    }
                    1 => read += usize::from(runner.receive(id).is_some()),
                    2 => {
                        carry(&mut parent, &mut runner);
                        carry(&mut runner, &mut parent);
                    }
                    _ => {}
                }
            }
            prop_assert!(sent - read <= limit as usize, "{} sent, {} read", sent, read);
        }
        carry(&mut parent, &mut runner);
        while runner.receive(id).is_some() {}
        carry(&mut runner, &mut parent);
        prop_assert!(parent.has_room(id), "all was read, and the sender waits");
    }
}

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
fn messages_within_credit_arrive_with_their_end_although_the_receiver_does_not_read() {
    for len in [0, 1000, 100_000] {
        let (mut parent, mut runner) = pair();
        let (id, _) = parent.open(0).unwrap();
        parent.send(id, 1, payload(1), true).unwrap();
        carry(&mut parent, &mut runner);
        assert!(runner.claim(id));
        let mut sent = 0;
        while runner.is_within_credit(id) {
            runner.send(id, 3, payload(len), false).unwrap();
            sent += 1;
        }
        carry(&mut runner, &mut parent);
        // Once the receiver has read enough, there is credit for the rest.
        let mut told = true;
        while !runner.is_within_credit(id) {
            events(&mut runner);
            assert!(parent.receive(id).is_some(), "{len}");
            carry(&mut parent, &mut runner);
            told = events(&mut runner).contains(&MuxEvent::Writable(id));
            carry(&mut runner, &mut parent);
        }
        assert!(told && sent > 1);
        runner.send(id, 5, payload(0), true).unwrap();
        carry(&mut runner, &mut parent);
        assert!(events(&mut parent).contains(&MuxEvent::Closed(id)), "{len}");
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

#[test]
fn a_detached_stream_is_reset_at_the_message_that_keeps_it_open() {
    const ACCEPTED: u8 = 2;
    const RESULT: u8 = 3;
    // The handle is dropped before the message arrives, while it arrives, or after it has arrived.
    for gone in 0..3 {
        let (mut parent, mut runner) = pair();
        let (id, _) = parent.open(0).unwrap();
        parent.send(id, 1, payload(1), true).unwrap();
        carry(&mut parent, &mut runner);
        assert!(runner.claim(id));
        runner.send(id, ACCEPTED, payload(0), false).unwrap();
        carry(&mut runner, &mut parent);
        if gone == 0 {
            parent.detach_until(id, RESULT);
            carry(&mut parent, &mut runner);
            assert!(!runner.is_unwanted(id), "it goes on");
        }
        runner.send(id, RESULT, payload(100_000), false).unwrap();
        if gone == 1 {
            parent.handle_frame(runner.poll_frame().unwrap()).unwrap();
            parent.detach_until(id, RESULT);
        }
        carry(&mut runner, &mut parent);
        if gone == 2 {
            parent.detach_until(id, RESULT);
        }
        carry(&mut parent, &mut runner);
        assert!(runner.is_unwanted(id), "{gone}");
        assert!(!parent.is_idle(), "it stands until the runner has let go");
        runner.release(id);
        carry(&mut runner, &mut parent);
        assert!(parent.is_idle() && runner.is_idle());
    }
}

#[test]
fn a_detached_stream_that_ends_with_its_result_is_not_reset() {
    let (mut parent, mut runner) = pair();
    let (id, _) = parent.open(0).unwrap();
    parent.send(id, 1, payload(1), true).unwrap();
    carry(&mut parent, &mut runner);
    assert!(runner.claim(id));
    parent.detach_until(id, 3);
    runner.send(id, 3, payload(10), true).unwrap();
    carry(&mut runner, &mut parent);
    assert_eq!(parent.poll_frame(), None);
    runner.detach(id);
    assert!(parent.is_idle() && runner.is_idle());
}

#[test]
fn unclaimed_siblings_end_with_their_stream() {
    // The runner rejects the call, or the parent cancels it before the runner has seen it.
    for taken_back in [false, true] {
        let (mut parent, mut runner) = pair();
        let (id, beside) = parent.open(3).unwrap();
        parent.send(id, 1, payload(1), true).unwrap();
        parent.send(beside[0], 4, payload(1_000_000), false).unwrap();
        carry(&mut parent, &mut runner);
        if taken_back {
            parent.release(id);
            carry(&mut parent, &mut runner);
        } else {
            assert!(runner.claim(id));
            runner.send(id, 6, payload(1), true).unwrap();
            runner.detach(id);
        }
        carry(&mut runner, &mut parent);
        let told = events(&mut parent);
        for other in beside {
            assert!(told.contains(&MuxEvent::Reset(other)), "{told:?}");
            assert!(parent.is_unwanted(other));
            parent.release(other);
        }
        parent.release(id);
        carry(&mut parent, &mut runner);
        carry(&mut runner, &mut parent);
        assert!(parent.is_idle() && runner.is_idle(), "nothing is left of it");
    }
}

#[test]
fn claimed_siblings_outlive_their_stream() {
    let (mut parent, mut runner) = pair();
    let (id, beside) = parent.open(2).unwrap();
    parent.send(id, 1, payload(1), true).unwrap();
    carry(&mut parent, &mut runner);
    assert!(runner.claim(id) && runner.claim(beside[0]) && runner.claim(beside[1]));
    // One sibling is still held. The other has more than a window queued, and was detached to
    // deliver it.
    runner.send(beside[1], 4, payload(1_000_000), true).unwrap();
    runner.detach(beside[1]);
    runner.send(id, 3, payload(1), true).unwrap();
    runner.detach(id);
    while carry(&mut runner, &mut parent) + carry(&mut parent, &mut runner) > 0 {}
    assert_eq!(parent.receive(beside[1]).unwrap().body.len(), 1_000_000);
    runner.send(beside[0], 4, payload(1), false).unwrap();
    carry(&mut runner, &mut parent);
    assert!(parent.receive(beside[0]).is_some());
}

#[test]
fn no_more_streams_are_opened_than_the_peer_accepts() {
    let (mut parent, mut runner) = pair();
    let full = TooManyStreams { limit: CONFIG.max_streams };
    for _ in 0..3 {
        // Eight: two calls with three channels each.
        let calls = [parent.open(3).unwrap(), parent.open(3).unwrap()];
        assert_eq!(parent.open(0), Err(full));
        assert_eq!(parent.open(7), Err(full));
        for (id, _) in &calls {
            parent.send(*id, 1, payload(1), true).unwrap();
        }
        carry(&mut parent, &mut runner);
        // One is rejected, and the other cancelled. Once all streams are closed, both can be opened
        // again.
        let [(rejected, first), (taken_back, second)] = calls;
        runner.claim(rejected);
        runner.send(rejected, 6, payload(1), true).unwrap();
        runner.release(rejected);
        runner.claim(taken_back);
        carry(&mut runner, &mut parent);
        parent.release(rejected);
        parent.release(taken_back);
        assert_eq!(parent.open(7), Err(full), "the runner has not let go yet");
        first.into_iter().chain(second).for_each(|id| parent.release(id));
        carry(&mut parent, &mut runner);
        runner.release(taken_back);
        carry(&mut runner, &mut parent);
        assert!(parent.is_idle());
        // A stream that is never announced does not count.
        let (unheard, beside) = parent.open(7).unwrap();
        beside.into_iter().chain([unheard]).for_each(|id| parent.release(id));
    }
}

#[test]
fn empty_messages_are_bounded_as_well() {
    let (mut parent, mut runner) = pair();
    let (id, _) = parent.open(0).unwrap();
    for _ in 0..100_000 {
        parent.send(id, 3, payload(0), false).unwrap();
    }
    carry(&mut parent, &mut runner);
    let waiting = std::iter::from_fn(|| runner.receive(id)).count();
    assert!(waiting <= CONFIG.window as usize / 32 + 1, "{waiting}");
}

#[test]
fn a_cancelled_call_stays_open_until_the_runner_has_ended_it() {
    let (mut parent, mut runner) = pair();
    let (id, _) = parent.open(0).unwrap();
    parent.send(id, 1, payload(1), true).unwrap();
    carry(&mut parent, &mut runner);
    events(&mut runner);
    runner.claim(id);
    parent.release(id);
    carry(&mut parent, &mut runner);
    assert_eq!(events(&mut parent), [], "its slot is not free while the work runs");
    assert_eq!(events(&mut runner), [MuxEvent::Reset(id)]);
    runner.release(id);
    carry(&mut runner, &mut parent);
    assert_eq!(events(&mut parent), [MuxEvent::Closed(id)]);
    assert!(parent.is_idle() && runner.is_idle());
}

#[test]
fn a_reply_on_a_detached_stream_is_received_to_its_end() {
    // Before any of it has arrived, after a part of it, and with messages that were never read.
    for parts in 0..4 {
        let (mut parent, mut runner) = pair();
        let (id, _) = parent.open(0).unwrap();
        parent.send(id, 1, payload(1), true).unwrap();
        carry(&mut parent, &mut runner);
        assert!(runner.claim(id));
        for _ in 0..parts {
            runner.send(id, 4, payload(100_000), false).unwrap();
        }
        carry(&mut runner, &mut parent);
        parent.detach(id);
        runner.send(id, 2, payload(10 * CONFIG.window as usize), true).unwrap();
        while runner.has_frames() || parent.has_frames() {
            carry(&mut runner, &mut parent);
            carry(&mut parent, &mut runner);
        }
        assert!(runner.is_flushed(id), "{parts} before it: the runner is stuck with its answer");
        assert!(parent.is_gone(id), "{parts} before it: the slot is kept");
    }
}

#[test]
fn a_call_that_was_never_sent_is_cancelled_without_a_frame() {
    let (mut parent, _) = pair();
    let (id, beside) = parent.open(1).unwrap();
    parent.send(id, 1, payload(1), true).unwrap();
    parent.release(id);
    parent.release(beside[0]);
    assert_eq!(parent.poll_frame(), None);
    assert!(parent.is_idle());
    assert_eq!(events(&mut parent), [MuxEvent::Closed(id), MuxEvent::Closed(beside[0])]);
}

#[test]
fn a_channel_is_announced_before_its_first_message_arrives() {
    let (mut parent, mut runner) = pair();
    let (call, beside) = parent.open(1).unwrap();
    parent.send(beside[0], 3, payload(5), false).unwrap();
    parent.send(call, 1, payload(100_000), true).unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| parent.poll_frame()).collect();
    let Frame::Data(last) = frames.last().unwrap() else { panic!() };
    assert_eq!(last.stream, beside[0], "the channel waits for the call");
    for frame in frames {
        runner.handle_frame(frame).unwrap();
    }
    assert_eq!(events(&mut runner), [MuxEvent::Opened(call), MuxEvent::Readable(beside[0])]);
    assert!(runner.claim(beside[0]));
    assert_eq!(runner.receive(beside[0]).unwrap().body.len(), 5);
}

#[test]
fn a_channel_dropped_before_its_call_is_sent_is_never_announced() {
    let (mut parent, mut runner) = pair();
    let (call, beside) = parent.open(1).unwrap();
    parent.release(beside[0]);
    parent.send(call, 1, payload(1), true).unwrap();
    carry(&mut parent, &mut runner);
    assert!(!runner.claim(beside[0]));
}

#[test]
fn a_stream_reset_before_its_first_message_is_complete_leaves_nothing() {
    let (mut parent, mut runner) = pair();
    let (call, beside) = parent.open(1).unwrap();
    parent.send(call, 1, payload(100_000), true).unwrap();
    runner.handle_frame(parent.poll_frame().unwrap()).unwrap();
    parent.release(call);
    parent.release(beside[0]);
    carry(&mut parent, &mut runner);
    carry(&mut runner, &mut parent);
    assert!(parent.is_idle() && runner.is_idle());
}

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

#[derive(Debug, Clone)]
enum Op {
    Open(usize),
    Send(usize, usize, usize, bool),
    Receive(usize, usize),
    Release(usize, usize),
    Carry(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let side = 0..2usize;
    let pick = 0..6usize;
    prop_oneof![
        1 => (0..3usize).prop_map(Op::Open),
        4 => (side.clone(), pick.clone(), prop_oneof![Just(0), 1..100usize, 30_000..400_000usize], any::<bool>())
            .prop_map(|(side, pick, len, end)| Op::Send(side, pick, len, end)),
        4 => (side.clone(), pick.clone()).prop_map(|(side, pick)| Op::Receive(side, pick)),
        1 => (side.clone(), pick).prop_map(|(side, pick)| Op::Release(side, pick)),
        6 => (side, 1..20usize).prop_map(|(side, n)| Op::Carry(side, n)),
    ]
}

/// The two muxes, and what each side has sent and received on each stream.
struct World {
    sides: [Mux; 2],
    wires: [VecDeque<Frame>; 2],
    handles: [Vec<StreamId>; 2],
    sent: [HashMap<StreamId, Vec<(u8, usize)>>; 2],
    got: [HashMap<StreamId, Vec<(u8, usize)>>; 2],
    tag: u8,
}

impl World {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Open(beside) if self.handles[0].len() < 6 => {
                let (id, others) = self.sides[0].open(beside).unwrap();
                self.handles[0].push(id);
                self.handles[0].extend(others);
            }
            Op::Open(_) => {}
            Op::Send(side, pick, len, end) => {
                if let Some(&id) = self.handles[side].get(pick) {
                    self.tag = self.tag.wrapping_add(1);
                    if self.sides[side].send(id, self.tag, payload(len), end).is_ok() {
                        self.sent[side].entry(id).or_default().push((self.tag, len));
                    }
                }
            }
            Op::Receive(side, pick) => {
                if let Some(&id) = self.handles[side].get(pick) {
                    self.receive(side, id);
                }
            }
            Op::Release(side, pick) => {
                if pick < self.handles[side].len() {
                    let id = self.handles[side].remove(pick);
                    self.sides[side].release(id);
                }
            }
            Op::Carry(from, n) => {
                while let Some(frame) = self.sides[from].poll_frame() {
                    self.wires[from].push_back(frame);
                }
                for _ in 0..n {
                    let Some(frame) = self.wires[from].pop_front() else { break };
                    self.sides[1 - from].handle_frame(frame).unwrap();
                }
                while let Some(event) = self.sides[1 - from].poll_event() {
                    if let MuxEvent::Opened(id) = event
                        && self.sides[1 - from].claim(id)
                    {
                        self.handles[1 - from].push(id);
                    }
                }
            }
        }
    }

    fn receive(&mut self, side: usize, id: StreamId) -> bool {
        let message = self.sides[side].receive(id);
        if let Some(message) = &message {
            self.got[side].entry(id).or_default().push((message.tag, message.body.len()));
        }
        message.is_some()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn messages_arrive_whole_and_in_order_and_every_stream_can_be_closed(
        ops in prop::collection::vec(op(), 0..80),
    ) {
        let config = MuxConfig { max_streams: 10_000, ..CONFIG };
        let mut world = World {
            sides: [Mux::new(Side::Parent, config), Mux::new(Side::Runner, config)],
            wires: Default::default(),
            handles: Default::default(),
            sent: Default::default(),
            got: Default::default(),
            tag: 0,
        };
        for op in ops {
            world.apply(op);
        }
        for side in 0..2 {
            for (id, got) in &world.got[side] {
                let sent = &world.sent[1 - side][id];
                prop_assert_eq!(&sent[..got.len()], &got[..], "a prefix of what was sent");
            }
        }
        // Everything arrives as long as it is read ...
        for _ in 0..40 {
            for side in 0..2 {
                world.apply(Op::Carry(side, usize::MAX));
                for id in world.handles[side].clone() {
                    while world.receive(side, id) {}
                }
            }
        }
        for side in 0..2 {
            for id in &world.handles[side] {
                if world.handles[1 - side].contains(id) {
                    let sent = world.sent[1 - side].get(id);
                    prop_assert_eq!(sent, world.got[side].get(id), "stream {:?}", id);
                }
            }
        }
        // ... and once the handles are dropped, no stream is left.
        for side in 0..2 {
            for id in std::mem::take(&mut world.handles[side]) {
                world.sides[side].release(id);
            }
        }
        for _ in 0..3 {
            world.apply(Op::Carry(0, usize::MAX));
            world.apply(Op::Carry(1, usize::MAX));
            for side in 0..2 {
                for id in std::mem::take(&mut world.handles[side]) {
                    world.sides[side].release(id);
                }
            }
        }
        prop_assert!(world.sides[0].is_idle(), "{:?}", world.sides[0].streams.keys());
        prop_assert!(world.sides[1].is_idle(), "{:?}", world.sides[1].streams.keys());
    }
}
