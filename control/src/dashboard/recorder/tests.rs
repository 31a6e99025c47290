use std::sync::Arc;

use super::*;
use crate::CallError;
use crate::backend::BootFailure;
use crate::metrics::CallOutcome;
use crate::pool::lane::now;
use crate::pool::{GrowReason, ShrinkReason};

/// The Unix time at which the tests begin, in milliseconds.
const UNIX_MS: f64 = 1_000_000.0;
const RUNNER: RunnerRef = RunnerRef::from_bytes([0xab; 16]);

/// A recorder and a clock.
struct Sim {
    recorder: PoolRecorder,
    now: Instant,
}

impl Sim {
    fn new() -> Self {
        let origin = now();
        let clock = WallClock { origin, unix_ms: UNIX_MS };
        Self { recorder: PoolRecorder::new(clock, "sim"), now: origin }
    }

    fn event(&mut self, event: PoolEvent) {
        self.recorder.event(self.now, &event);
    }

    fn after(&mut self, ms: u64, event: PoolEvent) {
        self.now += Duration::from_millis(ms);
        self.event(event);
    }
}

fn trace(call: u64) -> TraceContext {
    TraceContext { trace_id: [7; 16], span_id: call.to_be_bytes(), flags: 0 }
}

fn queued(call: u64) -> PoolEvent {
    PoolEvent::CallQueued { function: "f", trace: trace(call) }
}

fn started(call: u64) -> PoolEvent {
    PoolEvent::CallStarted { runner: RUNNER, function: "f", trace: trace(call) }
}

fn finished(call: u64, queued: u64, took: u64, reply: u64) -> PoolEvent {
    let [queued, took, reply] = [queued, took, reply].map(Duration::from_millis);
    let (function, trace, outcome) = ("f", trace(call), CallOutcome::Ok);
    let runner = Some(RUNNER);
    PoolEvent::CallFinished {
        runner,
        function,
        trace,
        queued,
        took,
        reply,
        outcome,
        estimated_cost: 0.0,
        error: None,
    }
}

fn failed(call: u64, message: &str) -> PoolEvent {
    let error = CallError::Panicked {
        message: message.to_owned(),
        location: None,
        backtrace: Some("a backtrace".to_owned()),
    };
    let time = Duration::ZERO;
    PoolEvent::CallFinished {
        runner: None,
        function: "f",
        trace: trace(call),
        queued: time,
        took: time,
        reply: time,
        outcome: CallOutcome::Panicked,
        estimated_cost: 0.0,
        error: Some(Arc::new(error)),
    }
}

fn grow_start() -> PoolEvent {
    PoolEvent::GrowStart { runner: RUNNER, reason: GrowReason::Demand }
}

fn grow_end() -> PoolEvent {
    PoolEvent::GrowEnd { runner: RUNNER, failure: None, up: true }
}

#[test]
fn a_call_is_shown_while_it_waits_while_it_runs_and_when_it_has_ended() {
    let mut sim = Sim::new();
    sim.event(queued(1));
    let waiting = sim.recorder.view().calls;
    assert_eq!((waiting[0].since, waiting[0].started, &waiting[0].runner), (UNIX_MS, None, &None));
    sim.after(40, started(1));
    let running = sim.recorder.view().calls;
    assert_eq!((running[0].since, running[0].started), (UNIX_MS, Some(UNIX_MS + 40.0)));
    assert_eq!(running[0].runner.as_deref(), Some("f-abababab"));
    sim.after(60, finished(1, 40, 55, 5));
    let view = sim.recorder.view();
    assert_eq!(view.calls, []);
    let call = &view.finished[0];
    assert_eq!(
        (call.start, call.queue, call.boot, call.run, call.reply),
        (UNIX_MS, 40.0, 0.0, 55.0, 5.0)
    );
    assert_eq!((&call.id, call.outcome), (&running[0].id, "ok"));
}

#[test]
fn the_wait_for_the_boot_of_a_call_s_own_runner_is_a_phase() {
    let mut sim = Sim::new();
    sim.event(queued(1));
    sim.after(10, grow_start());
    // Waits for a part of the boot.
    sim.after(20, queued(2));
    sim.after(30, grow_end());
    sim.event(started(1));
    // Waits after the boot.
    sim.event(queued(3));
    sim.after(40, finished(1, 60, 40, 0));
    sim.event(finished(2, 30, 40, 0));
    sim.event(finished(3, 20, 20, 0));
    let phases: Vec<_> =
        sim.recorder.view().finished.iter().map(|call| (call.queue, call.boot)).collect();
    assert_eq!(phases, [(20.0, 0.0), (0.0, 30.0), (10.0, 50.0)], "the latest first");
}

#[test]
fn an_error_is_shown_with_its_text_and_without_a_backtrace() {
    let mut sim = Sim::new();
    sim.event(failed(1, "<img onerror>"));
    let errors = sim.recorder.view().errors;
    assert_eq!(errors[0].title, "A call of f failed");
    assert_eq!(errors[0].message, "the function panicked: <img onerror>");
}

#[test]
fn a_boot_failure_has_the_log_of_its_instance() {
    let mut sim = Sim::new();
    let mut failure = BootFailure::new("it exited");
    failure.exit_code = Some(3);
    failure.log_tail = (0..80).map(|line| format!("line {line}")).collect();
    sim.event(PoolEvent::GrowEnd { runner: RUNNER, failure: Some(Arc::new(failure)), up: false });
    let errors = sim.recorder.view().errors;
    assert_eq!(errors[0].message, "it exited (exit code 3)");
    let (tail, count) = (&errors[0].log_tail, errors[0].log_tail.len());
    assert_eq!((tail.first().unwrap().as_str(), count), ("line 30", 50), "the last lines");
}

#[test]
fn the_same_error_again_does_not_displace_others() {
    let mut sim = Sim::new();
    sim.event(failed(1, "first"));
    for call in 2..50 {
        sim.after(1, failed(call, "second"));
    }
    let errors = sim.recorder.view().errors;
    let shown: Vec<_> = errors.iter().map(|error| (error.message.as_str(), error.times)).collect();
    let (first, second) = ("the function panicked: first", "the function panicked: second");
    assert_eq!(shown, [(second, 48), (first, 1)]);
    assert_eq!(errors[0].at, UNIX_MS + 48.0, "when it happened last");
}

#[test]
fn events_are_sentences_and_calls_are_not_among_them() {
    let mut sim = Sim::new();
    sim.event(grow_start());
    sim.event(queued(1));
    sim.event(grow_end());
    sim.event(PoolEvent::RunnerLost { runner: RUNNER, calls: 1 });
    sim.event(PoolEvent::Shrink { runner: RUNNER, reason: ShrinkReason::Requested });
    let texts: Vec<_> = sim.recorder.view().events.into_iter().map(|event| event.text).collect();
    let expected = [
        "Runner f-abababab has ended: its end was requested.",
        "Runner f-abababab was lost, with 1 call.",
        "Runner f-abababab is up.",
        "Runner f-abababab boots, because calls wait for a slot.",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn nothing_grows_without_bound() {
    let mut sim = Sim::new();
    for call in 0..5_000 {
        sim.event(queued(call));
        sim.event(grow_start());
        sim.event(failed(call + 1_000_000, &call.to_string()));
    }
    let PoolRecorder { live, boots, finished, events, errors, .. } = &sim.recorder;
    let kept = [live.len(), boots.len(), finished.len(), events.len(), errors.len()];
    assert_eq!(kept, [LIVE_CALLS, BOOTS, FINISHED_CALLS, EVENTS, ERRORS]);
    let view = sim.recorder.view();
    assert_eq!((view.calls.len(), view.finished.len()), (SHOWN_CALLS, FINISHED_CALLS));
    assert!(
        view.errors[0].message.ends_with("4999"),
        "the latest first: {}",
        view.errors[0].message
    );
}

#[test]
fn a_call_whose_end_was_missed_does_not_stay() {
    let mut sim = Sim::new();
    sim.event(started(1));
    sim.recorder.missed(3);
    sim.event(started(2));
    let view = sim.recorder.view();
    assert_eq!((view.calls.len(), view.missed_events), (1, 3));
    sim.event(finished(1, 0, 5, 0));
    assert_eq!(sim.recorder.view().finished.len(), 1, "its end tells all of it");
}

#[test]
fn a_pool_that_is_gone_is_drained_and_keeps_its_history() {
    let mut sim = Sim::new();
    sim.event(started(1));
    sim.event(failed(2, "an error"));
    assert!(!sim.recorder.has_ended());
    sim.recorder.gone();
    assert!(sim.recorder.has_ended());
    let view = sim.recorder.view();
    assert_eq!((view.name.as_str(), view.stage), ("sim", PoolStage::Drained));
    assert_eq!((view.calls.len(), view.errors.len()), (0, 1));
}
