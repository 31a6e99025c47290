//! Streams that also limit the number of messages.

use proptest::prelude::*;

use super::*;

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
