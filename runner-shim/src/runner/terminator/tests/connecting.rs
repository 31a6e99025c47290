//! Before the first connection.

use super::*;

#[test]
fn a_runner_that_never_reaches_its_parent_ends_at_the_failsafe() {
    let mut runner = TestRunner::booting(|_| config());
    assert_eq!(runner.wait(FAILSAFE - SECOND), []);
    let end = Action::Exit { code: EXIT_NEVER_CONNECTED, reason: EndReason::NeverConnected };
    assert_eq!(runner.wait(SECOND), [end]);
    assert_eq!(runner.terminator.phase, TerminatorPhase::Gone);
}

#[test]
fn a_failed_attempt_to_connect_does_not_postpone_the_failsafe() {
    let mut runner = TestRunner::booting(|_| config());
    runner.wait(SECOND * 15);
    assert_eq!(runner.on(Event::Disconnected), []);
    assert_eq!(runner.due(), Some(FAILSAFE));
}

#[test]
fn a_rejected_runner_ends_at_once() {
    let mut runner = TestRunner::booting(|_| config());
    let end = Action::Exit { code: EXIT_NEVER_CONNECTED, reason: EndReason::NeverConnected };
    assert_eq!(runner.on(Event::LinkClosed), [end]);
}

#[test]
fn a_connected_runner_has_no_failsafe() {
    let mut runner = TestRunner::serving(Config { idle: None, ..config() });
    assert_eq!(runner.due(), None);
    assert_eq!(runner.wait(FAILSAFE * 100), []);
}

#[test]
fn a_signal_before_the_first_connection_ends_the_runner_at_once() {
    let mut runner = TestRunner::booting(|_| config());
    let end = Action::Exit { code: EXIT_OK, reason: EndReason::Signal(15) };
    assert_eq!(runner.on(Event::Signal(15)), [end]);
}

#[test]
fn after_its_hello_a_runner_that_got_a_signal_asks_its_parent_before_it_ends() {
    let mut runner = TestRunner::booting(|_| config());
    assert_eq!(runner.all(&[Event::HelloSent, Event::Signal(15)]), []);
    assert_eq!(runner.on(Event::Connected), announces_drain(EndReason::Signal(15)));
    assert_eq!(runner.all(&[Event::CallStarted, Event::CallEnded]), []);
    let end = [vec![Action::StopAccepting], leaves(EndReason::Signal(15), EXIT_OK)];
    assert_eq!(runner.on(DRAIN), end.concat());
}

#[test]
fn a_hello_without_an_answer_delays_a_signal_for_one_window_at_most() {
    let mut runner = TestRunner::booting(|_| config());
    runner.all(&[Event::HelloSent, Event::Signal(15)]);
    let end = Action::Exit { code: EXIT_OK, reason: EndReason::Signal(15) };
    assert_eq!(runner.wait(SHUTDOWN), [Action::StopAccepting, end]);
}

#[test]
fn a_signal_ends_a_runner_that_is_offered_its_parents_executable_at_once() {
    let end = || Action::Exit { code: EXIT_OK, reason: EndReason::Signal(15) };
    let mut before = TestRunner::booting(|_| config());
    assert_eq!(before.all(&[Event::HelloSent, Event::Signal(15)]), []);
    assert_eq!(before.on(Event::CodeOffered), [end()]);
    let mut while_it_fetches = TestRunner::booting(|_| config());
    assert_eq!(while_it_fetches.all(&[Event::HelloSent, Event::CodeOffered]), []);
    assert_eq!(while_it_fetches.on(Event::Signal(15)), [end()]);
}

#[test]
fn an_offer_of_code_does_not_postpone_the_failsafe_and_is_ignored_once_the_runner_serves() {
    let mut runner = TestRunner::booting(|_| config());
    runner.wait(SECOND);
    assert_eq!(runner.all(&[Event::HelloSent, Event::CodeOffered]), []);
    assert_eq!(runner.due(), Some(FAILSAFE));
    let mut serving = TestRunner::serving(config());
    assert_eq!(serving.on(Event::CodeOffered), []);
    assert_eq!(serving.on(Event::Signal(15)), announces_drain(EndReason::Signal(15)));
}
