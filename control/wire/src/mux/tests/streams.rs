//! The life of a stream: opened, ended by both sides, cancelled, reset; and how many may be open.

use super::*;

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
