//! Runners that serve one call.

use super::*;

fn single_use() -> TestRunner {
    single_use_with(config())
}

#[test]
fn flame_defect_08_a_single_use_runner_takes_one_call_and_ends() {
    let mut runner = single_use();
    assert_eq!(runner.on(Event::CallStarted), [Action::StopAccepting]);
    let end =
        [vec![Action::AnnounceDraining(EndReason::SingleUse)], leaves(EndReason::SingleUse, 0)];
    assert_eq!(runner.on(Event::CallEnded), end.concat());
}

#[test]
fn a_single_use_runner_has_no_window_for_its_call() {
    let mut runner = single_use();
    runner.on(Event::CallStarted);
    assert_eq!(runner.wait(SHUTDOWN * 100), []);
}

#[test]
fn new_calls_are_rejected_once_only() {
    let mut runner = single_use();
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(DRAIN), [Action::AnnounceDraining(EndReason::DrainRequested)]);
}
