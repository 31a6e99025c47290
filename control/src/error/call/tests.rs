use std::sync::Arc;
use std::time::Duration;

use super::{CallError, TimeoutPhase};
use crate::{BootFailure, BootFailureKind, RunnerRef};

const RUNNER: RunnerRef = RunnerRef::from_bytes([1; 16]);

fn timeout(phase: TimeoutPhase) -> CallError {
    CallError::timeout(phase, Some(Duration::from_secs(30)))
}

fn boot_failed(kind: BootFailureKind) -> CallError {
    CallError::BootFailed(Arc::new(BootFailure::of(kind, "it broke")))
}

fn lost(started: bool) -> CallError {
    CallError::RunnerLost { started, runner: RUNNER, reason: "it was killed".to_owned() }
}

fn too_large(started: bool) -> CallError {
    CallError::TooLarge { size: 2, limit: 1, started }
}

fn codec(started: bool) -> CallError {
    CallError::Codec { what: "it is not a number".to_owned(), started }
}

/// The table in the documentation of [`CallError`]: is it a timeout, may the function have run, can
/// the call be made again?
fn table() -> Vec<(CallError, [bool; 3])> {
    const Y: bool = true;
    const N: bool = false;
    let panicked =
        CallError::Panicked { message: "oh".to_owned(), location: None, backtrace: None };
    let (after, limit) = (Duration::from_secs(2), Duration::from_secs(1));
    let missing = CallError::MissingState { function: "f", state: "Db".to_owned() };
    vec![
        (timeout(TimeoutPhase::Queue), [Y, N, Y]),
        (timeout(TimeoutPhase::Boot), [Y, N, Y]),
        (timeout(TimeoutPhase::Run), [Y, Y, N]),
        (timeout(TimeoutPhase::Reply), [Y, Y, N]),
        (boot_failed(BootFailureKind::Throttled), [N, N, Y]),
        (boot_failed(BootFailureKind::Capacity), [N, N, Y]),
        (boot_failed(BootFailureKind::Quota), [N, N, Y]),
        (boot_failed(BootFailureKind::Unavailable), [N, N, Y]),
        (boot_failed(BootFailureKind::Misconfigured), [N, N, N]),
        (boot_failed(BootFailureKind::Died), [N, N, Y]),
        (boot_failed(BootFailureKind::TimedOut), [N, N, Y]),
        (boot_failed(BootFailureKind::Rejected), [N, N, N]),
        (boot_failed(BootFailureKind::Other), [N, N, Y]),
        (lost(false), [N, N, Y]),
        (lost(true), [N, Y, N]),
        (panicked, [N, Y, N]),
        (CallError::QueueFull { limit: 1 }, [N, N, Y]),
        (CallError::OverBudget { per_hour: 1.5 }, [N, N, Y]),
        (CallError::RunnerFull { runner: RUNNER, limit: 1 }, [N, N, Y]),
        (CallError::TooLong { after, limit }, [N, N, N]),
        (CallError::Draining, [N, N, N]),
        (CallError::UnknownFunction { function: "f", runner: RUNNER }, [N, N, N]),
        (too_large(false), [N, N, N]),
        (too_large(true), [N, Y, N]),
        (codec(false), [N, N, N]),
        (codec(true), [N, Y, N]),
        (missing, [N, N, N]),
        (CallError::Cancelled, [N, Y, N]),
        (CallError::DepthExceeded { limit: 8 }, [N, N, N]),
    ]
}

#[test]
fn each_error_says_whether_it_is_a_timeout_may_have_run_and_can_be_retried() {
    for (error, expected) in table() {
        let answers = [error.is_timeout(), error.may_have_run(), error.is_retryable()];
        assert_eq!(answers, expected, "{error}");
    }
}

#[test]
fn a_call_that_may_have_run_is_never_retryable() {
    for (error, _) in table() {
        assert!(!(error.may_have_run() && error.is_retryable()), "{error}");
    }
}

#[test]
fn a_deadline_that_has_passed_comes_with_the_advice_for_its_phase() {
    for (phase, advice) in [
        (TimeoutPhase::Queue, "raise the pool's option `max`"),
        (TimeoutPhase::Boot, "keep runners up by the pool's option `min`"),
        (TimeoutPhase::Run, "the function may have run in part"),
        (TimeoutPhase::Reply, "the function has run"),
    ] {
        let text = timeout(phase).to_string();
        assert!(text.contains("`.timeout(..)`") && text.ends_with(advice), "{text}");
    }
}
