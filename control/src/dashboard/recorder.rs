//! Records the events and readings of a pool, for the page. Pure: takes `now`.
//!
//! Everything that grows is bounded, and the oldest is dropped.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;

use super::view::{ErrorRow, EventRow, FinishedCallRow, LiveCallRow, PoolStage, PoolView};
use super::wording;
use crate::pool::PoolEvent;
use reading::PoolReading;

pub(super) mod reading;
#[cfg(test)]
mod tests;

/// The number of rows of each kind that the page shows.
const FINISHED_CALLS: usize = 100;
const EVENTS: usize = 100;
const ERRORS: usize = 20;
const SHOWN_CALLS: usize = 100;

/// The number of waiting and running calls that are remembered. The pool counts further calls, but
/// the page does not list them.
const LIVE_CALLS: usize = 2000;
/// The number of boots that are remembered, to tell which part of a call's wait was a boot.
const BOOTS: usize = 500;

/// A moment of the monotonic clock, and the wall clock's time at that moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct WallClock {
    pub(super) origin: Instant,
    /// The Unix time at the origin, in milliseconds.
    pub(super) unix_ms: f64,
}

impl WallClock {
    /// The Unix time in milliseconds.
    pub(super) fn at(&self, moment: Instant) -> f64 {
        match moment.checked_duration_since(self.origin) {
            Some(after) => self.unix_ms + millis(after),
            None => self.unix_ms - millis(self.origin.saturating_duration_since(moment)),
        }
    }
}

/// Records one pool.
pub(super) struct PoolRecorder {
    clock: WallClock,
    live: HashMap<TraceContext, LiveCall>,
    boots: VecDeque<BootPeriod>,
    finished: VecDeque<FinishedCallRow>,
    events: VecDeque<EventRow>,
    errors: VecDeque<ErrorRow>,
    missed_events: u64,
    next_id: u64,
    /// The last reading. When the pool is gone, it stays.
    reading: PoolReading,
}

/// A call that waits or runs.
struct LiveCall {
    function: &'static str,
    since: Instant,
    started: Option<(Instant, RunnerRef)>,
}

struct BootPeriod {
    runner: RunnerRef,
    began: Instant,
    ended: Option<Instant>,
}

impl PoolRecorder {
    pub(super) fn new(clock: WallClock, name: &str) -> Self {
        Self {
            clock,
            live: HashMap::new(),
            boots: VecDeque::new(),
            finished: VecDeque::new(),
            events: VecDeque::new(),
            errors: VecDeque::new(),
            missed_events: 0,
            next_id: 0,
            reading: PoolReading::new(name),
        }
    }

    /// Records an event.
    pub(super) fn event(&mut self, now: Instant, event: &PoolEvent) {
        match event {
            PoolEvent::GrowStart { runner, .. } => {
                push(
                    &mut self.boots,
                    BOOTS,
                    BootPeriod { runner: *runner, began: now, ended: None },
                );
            }
            PoolEvent::GrowEnd { runner, .. } => {
                let mut boots = self.boots.iter_mut().rev();
                if let Some(boot) = boots.find(|boot| boot.runner == *runner) {
                    boot.ended = Some(now);
                }
            }
            PoolEvent::CallQueued { function, trace } => {
                self.live_call(now, *trace, function);
            }
            PoolEvent::CallStarted { runner, function, trace } => {
                if let Some(call) = self.live_call(now, *trace, function) {
                    call.started = Some((now, *runner));
                }
            }
            PoolEvent::CallFinished { .. } => self.call_finished(now, event),
            _ => {}
        }
        if let Some(text) = wording::sentence(event) {
            let row = EventRow { id: self.next_id(), at: self.clock.at(now), text };
            push(&mut self.events, EVENTS, row);
        }
        if let Some(text) = wording::error(event) {
            self.error(now, text);
        }
    }

    /// Events were missed, so it is not known which calls have ended meanwhile.
    pub(super) fn missed(&mut self, events: u64) {
        self.missed_events += events;
        self.live.clear();
    }

    /// Records the state of the pool.
    pub(super) fn read(&mut self, reading: PoolReading) {
        self.reading = reading;
    }

    /// The pool no longer exists.
    pub(super) fn gone(&mut self) {
        self.live.clear();
        self.reading.gone();
    }

    /// Whether the pool has drained, or no longer exists.
    pub(super) fn has_ended(&self) -> bool {
        self.reading.stage == PoolStage::Drained
    }

    /// The pool as the page shows it.
    pub(super) fn view(&self) -> PoolView {
        let (runners, more_runners) = self.reading.runners(|moment| self.clock.at(moment));
        let PoolReading { name, stage, explanation, cost, snapshot, metrics, .. } = &self.reading;
        PoolView {
            name: name.clone(),
            stage: *stage,
            explanation: explanation.clone(),
            cost: cost.clone(),
            up: snapshot.up,
            booting: snapshot.booting,
            queued: snapshot.queued,
            leased: snapshot.leased,
            free: snapshot.free,
            runners,
            more_runners,
            calls: self.live_rows(),
            finished: self.finished.iter().rev().cloned().collect(),
            events: self.events.iter().rev().cloned().collect(),
            errors: self.errors.iter().rev().cloned().collect(),
            metrics: metrics.clone(),
            missed_events: self.missed_events,
        }
    }

    /// The call that waits or runs. Adds the call if it is new and there is room for it.
    fn live_call(
        &mut self,
        now: Instant,
        trace: TraceContext,
        function: &'static str,
    ) -> Option<&mut LiveCall> {
        if !self.live.contains_key(&trace) && self.live.len() >= LIVE_CALLS {
            return None;
        }
        let new = || LiveCall { function, since: now, started: None };
        Some(self.live.entry(trace).or_insert_with(new))
    }

    fn call_finished(&mut self, now: Instant, event: &PoolEvent) {
        let PoolEvent::CallFinished {
            runner, function, trace, queued, took, reply, outcome, ..
        } = event
        else {
            return;
        };
        self.live.remove(trace);
        let made = now.checked_sub(*queued + *took + *reply).unwrap_or(now);
        let boot = runner.map(|runner| self.boot_time(runner, made, made + *queued));
        let boot = boot.unwrap_or_default().min(*queued);
        let row = FinishedCallRow {
            id: id(trace),
            trace: trace_id(trace),
            function,
            runner: runner.map(wording::short),
            outcome: outcome.name(),
            start: self.clock.at(made),
            queue: millis(*queued - boot),
            boot: millis(boot),
            run: millis(*took),
            reply: millis(*reply),
        };
        push(&mut self.finished, FINISHED_CALLS, row);
    }

    /// The part of this time in which the runner was booting.
    fn boot_time(&self, runner: RunnerRef, from: Instant, to: Instant) -> Duration {
        let boot = self.boots.iter().rev().find(|boot| boot.runner == runner);
        boot.map_or(Duration::ZERO, |boot| {
            let end = boot.ended.unwrap_or(to).min(to);
            end.saturating_duration_since(boot.began.max(from))
        })
    }

    /// An error like the last one is counted, so that one cause does not displace all others.
    fn error(&mut self, now: Instant, text: wording::ErrorText) {
        let at = self.clock.at(now);
        let wording::ErrorText { title, message, log_tail } = text;
        if let Some(last) = self.errors.back_mut()
            && last.title == title
            && last.message == message
            && last.log_tail == log_tail
        {
            last.times += 1;
            last.at = at;
            return;
        }
        let row = ErrorRow { id: self.next_id(), at, title, message, log_tail, times: 1 };
        push(&mut self.errors, ERRORS, row);
    }

    fn live_rows(&self) -> Vec<LiveCallRow> {
        let mut calls: Vec<_> = self.live.iter().collect();
        calls.sort_by_key(|(trace, call)| (call.since, trace.span_id));
        calls.truncate(SHOWN_CALLS);
        let row = |(trace, call): (&TraceContext, &LiveCall)| LiveCallRow {
            id: id(trace),
            trace: trace_id(trace),
            function: call.function,
            runner: call.started.map(|(_, runner)| wording::short(runner)),
            since: self.clock.at(call.since),
            started: call.started.map(|(at, _)| self.clock.at(at)),
        };
        calls.into_iter().map(row).collect()
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Adds an element, and drops the oldest one if there are more than `most`.
fn push<T>(to: &mut VecDeque<T>, most: usize, element: T) {
    if to.len() >= most {
        to.pop_front();
    }
    to.push_back(element);
}

fn id(trace: &TraceContext) -> String {
    flame_wire::hex::Hex(&trace.span_id).to_string()
}

fn trace_id(trace: &TraceContext) -> String {
    flame_wire::hex::Hex(&trace.trace_id).to_string()
}

/// A duration in milliseconds, rounded to microseconds.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
