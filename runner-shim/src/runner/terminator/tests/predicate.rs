//! The app's own idle condition.

use super::*;

fn with_predicate() -> TestRunner {
    TestRunner::serving(Config { ask_predicate: true, ..config() })
}

#[test]
fn the_predicate_is_asked_before_the_parent() {
    let mut runner = with_predicate();
    assert_eq!(runner.wait(IDLE), [Action::AskPredicate]);
    assert_eq!(runner.on(Event::PredicateSays(true)), propose(IDLE));
}

#[test]
fn flame_semantics_a_predicate_that_says_no_is_asked_again_after_the_idle_limit() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    assert_eq!(runner.on(Event::PredicateSays(false)), []);
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), [Action::AskPredicate]);
}

#[test]
fn a_call_makes_the_predicates_consent_out_of_date() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(Event::PredicateSays(true)), []);
    runner.on(Event::CallEnded);
    assert_eq!(runner.wait(IDLE), [Action::AskPredicate]);
    // The same if the call has ended before the answer.
    runner.all(&[Event::CallStarted, Event::CallEnded]);
    assert_eq!(runner.on(Event::PredicateSays(true)), []);
    assert_eq!(runner.wait(IDLE), [Action::AskPredicate]);
}

#[test]
fn a_predicate_is_not_asked_twice_at_once() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    assert_eq!(runner.wait(IDLE * 9), []);
    runner.all(&[Event::CallStarted, Event::CallEnded]);
    assert_eq!(runner.wait(IDLE * 9), []);
}

#[test]
fn a_predicate_that_answers_a_draining_runner_is_ignored() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    runner.all(&[Event::Disconnected, Event::Signal(15)]);
    assert_eq!(
        runner.terminator.phase,
        TerminatorPhase::Draining,
        "the runner waits for its parent"
    );
    assert_eq!(runner.on(Event::PredicateSays(true)), []);
}
