//! An idle runner proposes to end, and ends only with its parent's consent.

use super::*;

#[test]
fn an_idle_runner_proposes_to_end_and_ends_when_the_parent_agrees() {
    let mut runner = TestRunner::serving(config());
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), propose(IDLE));
    assert_eq!(runner.on(DRAIN), drains_and_leaves(EndReason::Idle));
}

#[test]
fn an_idle_runner_never_ends_without_consent() {
    let mut runner = TestRunner::serving(config());
    assert_eq!(
        runner.wait(IDLE * 1000),
        propose(IDLE),
        "one proposal, and no other before its answer"
    );
    assert_eq!(runner.terminator.phase, TerminatorPhase::Serving);
}

#[test]
fn a_runner_told_to_stay_proposes_again_after_the_idle_limit() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    runner.on(STAY);
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), propose(IDLE * 2));
}

#[test]
fn a_runner_told_to_stay_proposes_again_at_the_time_that_the_parent_set() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    runner.on(Event::StayUp { again_in: Some(SECOND * 3) });
    assert_eq!(runner.due(), Some(IDLE + SECOND * 3));
}

#[test]
fn a_parent_that_allows_another_proposal_at_once_is_not_asked_in_a_busy_loop() {
    let mut runner = TestRunner::serving(Config { idle: Some(Duration::ZERO), ..config() });
    assert_eq!(runner.wait(Duration::ZERO).len(), 1);
    for again_in in [None, Some(Duration::ZERO)] {
        assert_eq!(runner.on(Event::StayUp { again_in }), []);
        assert_eq!(runner.wait(Duration::from_millis(99)), []);
        assert_eq!(runner.wait(Duration::from_millis(1)).len(), 1);
    }
}

#[test]
fn a_call_restarts_the_idle_timer() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE - SECOND);
    runner.on(Event::CallStarted);
    assert_eq!(runner.wait(IDLE * 3), []);
    runner.on(Event::CallEnded);
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), propose(IDLE));
}

#[test]
fn flame_semantics_a_held_value_or_a_placed_child_keeps_the_runner() {
    let mut runner = TestRunner::serving(config());
    // The call of a held value ends only when the parent has dropped its handles.
    runner.all(&[Event::CallStarted, Event::CallStarted, Event::CallEnded]);
    assert_eq!(runner.wait(IDLE * 3), []);
    runner.on(Event::CallEnded);
    assert_eq!(runner.wait(IDLE), propose(IDLE));
}

#[test]
fn a_runner_without_an_idle_limit_never_proposes() {
    let mut runner = TestRunner::serving(Config { idle: None, ..config() });
    assert_eq!(runner.wait(IDLE * 1000), []);
}

#[test]
fn a_proposal_is_not_made_while_the_link_is_down() {
    let mut runner = TestRunner::serving(Config { reconnect_timeout: IDLE * 9, ..config() });
    runner.on(Event::Disconnected);
    assert_eq!(runner.wait(IDLE * 2), []);
    runner.on(Event::Connected);
    assert_eq!(runner.wait(Duration::ZERO), propose(IDLE * 2));
}
