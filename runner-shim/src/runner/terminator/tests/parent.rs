//! The parent is lost, comes back, says goodbye, or asks for a drain.

use super::*;

#[test]
fn a_parent_lost_beyond_the_reconnect_timeout_aborts_calls_and_ends_the_runner() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, Event::Disconnected]);
    let end = Action::Exit { code: EXIT_PARENT_LOST, reason: EndReason::ParentLost };
    assert_eq!(runner.wait(RECONNECT_TIMEOUT), [Action::FailRemaining, end]);
}

#[test]
fn a_parent_that_reconnects_in_time_finds_its_calls_running() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, Event::Disconnected]);
    assert_eq!(runner.wait(RECONNECT_TIMEOUT - SECOND), []);
    assert_eq!(runner.on(Event::Connected), []);
    assert_eq!(runner.wait(RECONNECT_TIMEOUT * 10), []);
    assert_eq!(runner.terminator.calls, 1);
}

#[test]
fn a_second_report_of_the_same_loss_does_not_restart_the_reconnect_timeout() {
    let mut runner = TestRunner::serving(Config { idle: None, ..config() });
    runner.on(Event::Disconnected);
    runner.wait(SECOND);
    runner.on(Event::Disconnected);
    assert_eq!(runner.due(), Some(RECONNECT_TIMEOUT));
}

#[test]
fn a_parent_that_says_goodbye_ends_the_runner_at_once() {
    let mut runner = TestRunner::serving(config());
    runner.on(Event::CallStarted);
    let end = Action::Exit { code: EXIT_PARENT_LOST, reason: EndReason::ParentLost };
    assert_eq!(runner.on(Event::LinkClosed), [Action::FailRemaining, end]);
}

#[test]
fn a_drain_that_the_parent_requests_lets_calls_finish() {
    let mut runner = TestRunner::serving(config());
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(DRAIN), drains(EndReason::DrainRequested));
    assert_eq!(runner.wait(SHUTDOWN - SECOND), []);
    assert_eq!(runner.on(Event::CallEnded), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn calls_that_outlast_the_window_are_failed_before_the_goodbye() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN]);
    let end = leaves(EndReason::DrainRequested, EXIT_WORK_ABORTED);
    assert_eq!(runner.wait(SHUTDOWN), [vec![Action::FailRemaining], end].concat());
}

#[test]
fn the_parents_window_applies_up_to_the_configured_limit() {
    let window = |within| {
        let mut runner = TestRunner::serving(config());
        runner.all(&[Event::CallStarted, Event::DrainRequested { within: Some(within) }]);
        runner.due()
    };
    assert_eq!(window(SECOND), Some(SECOND));
    assert_eq!(window(SHUTDOWN * 9), Some(SHUTDOWN));
}

#[test]
fn a_second_drain_can_only_shorten_the_window() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN]);
    runner.wait(SECOND);
    assert_eq!(runner.on(DRAIN), []);
    assert_eq!(runner.due(), Some(SHUTDOWN));
    assert_eq!(runner.on(Event::DrainRequested { within: Some(SECOND) }), []);
    assert_eq!(runner.due(), Some(SECOND * 2));
}

#[test]
fn a_draining_runner_waits_for_a_lost_parent_to_receive_its_last_answers() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN, Event::Disconnected]);
    assert_eq!(runner.on(Event::CallEnded), []);
    assert_eq!(runner.on(Event::Connected), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn a_draining_runner_does_not_wait_for_a_lost_parent_beyond_the_window() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN, Event::Disconnected, Event::CallEnded]);
    assert_eq!(runner.wait(SHUTDOWN), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn a_draining_runner_whose_parent_is_gone_says_no_goodbye() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN, Event::Disconnected, Event::CallEnded]);
    let end = Action::Exit { code: EXIT_OK, reason: EndReason::DrainRequested };
    assert_eq!(runner.on(Event::LinkClosed), [end]);
}
