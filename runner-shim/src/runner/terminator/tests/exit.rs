//! The exit, which happens once.

use super::*;

#[test]
fn nothing_follows_the_exit() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::Signal(15), DRAIN]);
    let events = [Event::Signal(15), Event::CallStarted, DRAIN, Event::LinkClosed];
    assert_eq!(runner.all(&events), []);
    assert_eq!(runner.due(), None);
    assert_eq!(runner.wait(FAILSAFE * 100), []);
}

#[test]
fn a_process_that_was_stopped_across_several_timers_ends_once() {
    let max_lifetime = Some(SECOND * 60);
    let mut runner = TestRunner::serving(Config { max_lifetime, ..config() });
    runner.all(&[Event::CallStarted, Event::Disconnected]);
    runner.now += SECOND * 1000;
    runner.terminator.handle_timeout(runner.now);
    let end = Action::Exit { code: EXIT_PARENT_LOST, reason: EndReason::ParentLost };
    assert_eq!(runner.actions(), [Action::FailRemaining, end]);
}

#[test]
fn an_early_timeout_is_harmless() {
    let mut runner = TestRunner::serving(config());
    runner.terminator.handle_timeout(runner.now);
    assert_eq!(runner.actions(), []);
    assert_eq!(runner.due(), Some(IDLE));
}
