//! Signals that ask the process to end.

use super::*;

#[test]
fn a_signal_drains_within_the_window() {
    let mut runner = TestRunner::serving(config());
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(Event::Signal(15)), announces_drain(EndReason::Signal(15)));
    assert_eq!(runner.on(DRAIN), [Action::StopAccepting]);
    assert_eq!(runner.on(Event::CallEnded), leaves(EndReason::Signal(15), EXIT_OK));
}

#[test]
fn a_platform_that_kills_soon_after_its_signal_can_only_shorten_the_window() {
    for (after_signal, window) in [(SECOND * 3, SECOND * 3), (SECOND * 90, SHUTDOWN)] {
        let mut runner =
            TestRunner::serving(Config { after_signal: Some(after_signal), ..config() });
        runner.on(Event::CallStarted);
        runner.on(Event::Signal(15));
        assert_eq!(runner.wait(window - SECOND), []);
        assert_eq!(runner.wait(SECOND), aborts_and_leaves(EndReason::Signal(15)));
    }
}

#[test]
fn a_signal_during_a_drain_shortens_its_window_where_the_platform_kills_soon() {
    let mut runner = TestRunner::serving(Config { after_signal: Some(SECOND), ..config() });
    runner.all(&[Event::CallStarted, DRAIN]);
    runner.wait(SECOND);
    runner.on(Event::Signal(15));
    let end = [vec![Action::FailRemaining], leaves(EndReason::Signal(15), EXIT_WORK_ABORTED)];
    assert_eq!(runner.wait(SECOND), end.concat());
}

#[test]
fn a_call_that_crosses_a_signal_is_served() {
    let mut runner = TestRunner::serving(config());
    assert_eq!(runner.on(Event::Signal(15)), announces_drain(EndReason::Signal(15)));
    assert_eq!(
        runner.all(&[Event::CallStarted, Event::CallEnded]),
        [],
        "more calls may be on their way"
    );
    let end = [vec![Action::StopAccepting], leaves(EndReason::Signal(15), EXIT_OK)];
    assert_eq!(runner.on(DRAIN), end.concat());
}

#[test]
fn a_parent_that_never_confirms_the_drain_delays_the_end_for_one_window_at_most() {
    let mut runner = TestRunner::serving(config());
    runner.on(Event::Signal(15));
    let end = [vec![Action::StopAccepting], leaves(EndReason::Signal(15), EXIT_OK)];
    assert_eq!(runner.wait(SHUTDOWN), end.concat());
}

#[test]
fn a_second_signal_ends_the_runner_at_once() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, Event::Signal(15)]);
    let end = Action::Exit { code: 130, reason: EndReason::Signal(2) };
    assert_eq!(runner.on(Event::Signal(2)), [Action::FailRemaining, end]);
}

#[test]
fn a_signal_gives_a_window_to_a_drain_without_one() {
    let reconnect_timeout = SECOND * 90;
    let mut runner = single_use_with(Config { reconnect_timeout, ..config() });
    runner.all(&[Event::CallStarted, Event::Disconnected, Event::CallEnded]);
    assert_eq!(runner.wait(SECOND), [], "the drain waits for the parent");
    assert_eq!(runner.on(Event::Signal(15)), []);
    assert_eq!(runner.wait(SHUTDOWN), leaves(EndReason::Signal(15), EXIT_OK));
}
