//! Streams that were opened beside another one, as the channels of a call are.

use super::*;

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
