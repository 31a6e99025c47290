//! A call arrives while an idle proposal is open.

use super::*;

#[test]
fn flame_defect_08_a_call_that_arrives_while_idle_is_proposed_is_served() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    assert_eq!(runner.all(&[Event::CallStarted, STAY]), []);
    assert_eq!(runner.wait(IDLE * 3), []);
    assert_eq!((runner.terminator.phase, runner.terminator.calls), (TerminatorPhase::Serving, 1));
}

#[test]
fn flame_defect_08_a_drain_that_crosses_a_call_lets_it_finish() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(DRAIN), drains(EndReason::DrainRequested));
    assert_eq!(runner.due(), Some(IDLE + SHUTDOWN), "as any other drain");
    assert_eq!(runner.on(Event::CallEnded), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn a_withdrawn_proposal_is_not_followed_by_another_before_its_answer() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    assert_eq!(runner.all(&[Event::CallStarted, Event::CallEnded]), []);
    assert_eq!(runner.wait(IDLE * 3), [], "the first proposal is still open");
    runner.on(STAY);
    assert_eq!(runner.wait(Duration::ZERO), propose(IDLE * 3));
    // This proposal was not withdrawn: its answer has its usual effect.
    runner.on(STAY);
    assert_eq!(runner.due(), Some(IDLE * 5));
}

#[test]
fn the_answer_to_a_withdrawn_proposal_does_not_bring_the_next_one_forward() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    runner.all(&[Event::CallStarted, Event::CallEnded]);
    runner.on(Event::StayUp { again_in: Some(SECOND) });
    assert_eq!(runner.due(), Some(IDLE * 2));
}

#[test]
fn answers_without_a_question_are_ignored() {
    let mut runner = TestRunner::serving(config());
    let answers = [STAY, Event::PredicateSays(true)];
    assert_eq!(runner.all(&answers), []);
    assert_eq!(runner.due(), Some(IDLE));
}

#[test]
fn flame_defect_09_an_end_without_a_start_is_ignored() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallEnded, Event::CallStarted]);
    assert_eq!(runner.terminator.calls, 1);
}

#[test]
fn an_end_without_a_start_does_not_restart_the_idle_timer() {
    let mut runner = TestRunner::serving(config());
    runner.wait(SECOND);
    assert_eq!(runner.on(Event::CallEnded), []);
    assert_eq!(runner.due(), Some(IDLE));
}
