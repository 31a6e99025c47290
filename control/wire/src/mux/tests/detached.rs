//! Streams whose handle was dropped before they ended.

use super::*;

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
