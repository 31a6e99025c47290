//! Credit in bytes, and frames that take turns.

use super::*;
use crate::frame::MAX_FRAME;

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
