//! The maximum lifetime, and the deadline of the host.

use super::*;

#[test]
fn a_runner_drains_at_the_end_of_its_lifetime() {
    let mut runner = TestRunner::serving(Config { max_lifetime: Some(SECOND * 60), ..config() });
    runner.on(Event::CallStarted);
    assert_eq!(runner.wait(SECOND * 60), announces_drain(EndReason::Lifetime));
    assert_eq!(runner.wait(SHUTDOWN), aborts_and_leaves(EndReason::Lifetime));
}

#[test]
fn a_lifetime_also_ends_a_drain_that_waits_for_its_parent() {
    let (max_lifetime, reconnect_timeout) = (Some(SECOND * 60), SECOND * 90);
    let mut runner = single_use_with(Config { max_lifetime, reconnect_timeout, ..config() });
    runner.all(&[Event::CallStarted, Event::Disconnected, Event::CallEnded]);
    let end = leaves(EndReason::Lifetime, EXIT_OK);
    assert_eq!(runner.wait(SECOND * 60 + SHUTDOWN), end);
}

#[test]
fn a_runner_drains_one_window_before_its_hosts_deadline_and_is_gone_by_then() {
    let deadline = SECOND * 100;
    let mut runner = TestRunner::booting(|now| Config {
        host_deadline: Some(now + deadline),
        idle: None,
        ..config()
    });
    runner.all(&[Event::Connected, Event::CallStarted]);
    assert_eq!(runner.due(), Some(deadline - SHUTDOWN));
    assert_eq!(runner.wait(deadline - SHUTDOWN), announces_drain(EndReason::HostDeadline));
    assert_eq!(runner.wait(SHUTDOWN - SECOND), []);
    assert_eq!(runner.wait(SECOND), aborts_and_leaves(EndReason::HostDeadline));
    assert_eq!(runner.now - runner.start, deadline);
}

#[test]
fn a_drain_shortly_before_the_hosts_deadline_has_the_shorter_window() {
    let mut runner =
        TestRunner::booting(|now| Config { host_deadline: Some(now + SECOND * 100), ..config() });
    runner.all(&[Event::Connected, Event::CallStarted]);
    runner.wait(SECOND * 94);
    runner.on(Event::Signal(15));
    assert_eq!(runner.wait(SECOND * 6), aborts_and_leaves(EndReason::Signal(15)));
}

#[test]
fn a_host_that_lives_for_less_than_the_window_still_serves_for_half_of_its_life() {
    let mut runner =
        TestRunner::booting(|now| Config { host_deadline: Some(now + SECOND * 4), ..config() });
    runner.all(&[Event::Connected, Event::CallStarted]);
    assert_eq!(runner.due(), Some(SECOND * 2));
    runner.wait(SECOND * 4);
    assert_eq!(runner.terminator.phase, TerminatorPhase::Gone);
}

#[test]
fn limits_beyond_the_clock_are_no_limits() {
    let config = Config {
        failsafe: Duration::MAX,
        reconnect_timeout: Duration::MAX,
        idle: Some(Duration::MAX),
        max_lifetime: Some(Duration::MAX),
        shutdown: Duration::MAX,
        ..config()
    };
    let mut runner = TestRunner::booting(|_| config);
    runner.all(&[Event::Connected, Event::CallStarted, Event::Signal(15), Event::Disconnected]);
    assert_eq!(runner.due(), None);
}
