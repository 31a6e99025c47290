//! Reads the metrics of one lane, or of the process, at one moment.

use std::sync::atomic::Ordering;

use super::attribute::{AttributeValue, Direction, RunnerActivity};
use super::histogram::{HistogramReading, as_f64};
use super::recorders::{Counters, Histograms, LaneRecorder, PROCESS};
use super::table::{self, Metric};
use crate::pool::lane::{Lane, now};
use crate::pool::state::{RunnerState, StateSnapshot};

/// The value of one series at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The row of the table.
    pub metric: &'static Metric,
    /// The value of the metric's attribute, if it has one.
    pub attribute: Option<&'static str>,
    /// The value.
    pub value: ReadingValue,
}

/// A value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadingValue {
    /// Of a counter: the sum since the pool started. Of a gauge: the value now.
    Number(f64),
    /// Of a histogram: everything since the pool started.
    Histogram(HistogramReading),
}

/// The readings of one lane of a pool.
#[cfg(feature = "dashboard")]
pub(crate) fn read_lane(lane: &Lane) -> Vec<Reading> {
    Readings::of_lane(&lane.recorder, Some(lane))
}

/// Collects readings.
#[derive(Default)]
pub(super) struct Readings(Vec<Reading>);

impl Readings {
    /// The readings of one lane. `lane` is `None` when it is gone, and then its gauges are 0.
    pub(super) fn of_lane(recorder: &LaneRecorder, lane: Option<&Lane>) -> Vec<Reading> {
        let mut readings = Self::default();
        let state = lane.map(|lane| lane.read(|state| state.snapshot()));
        readings.gauges(state.as_ref());
        readings.counters(&table::CALLS, &recorder.calls);
        readings.histograms(&table::CALL_DURATION, &recorder.call_duration);
        readings.histograms(&table::BOOT_DURATION, &recorder.boot_duration);
        readings.counters(&table::BOOT_FAILURES, &recorder.boot_failures);
        readings.counters(&table::RUNNER_EXITS, &recorder.runner_exits);
        for (metric, counter) in [
            (&table::RECONNECTS, &recorder.reconnects),
            (&table::ORPHANS_STOPPED, &recorder.orphans_stopped),
        ] {
            readings.number(metric, None, counter.load(Ordering::Relaxed));
        }
        let traffic = lane.map_or_else(|| recorder.past_traffic(), Lane::traffic);
        let cost = recorder.cost.lock().total(now());
        let value = ReadingValue::Number(cost);
        readings.0.push(Reading { metric: &table::COST, attribute: None, value });
        for (direction, bytes) in
            [(Direction::Sent, traffic.sent), (Direction::Received, traffic.received)]
        {
            readings.number(&table::LINK_BYTES, Some(direction.name()), bytes);
        }
        readings.0
    }

    /// The readings of the process.
    pub(super) fn of_process() -> Vec<Reading> {
        let mut readings = Self::default();
        readings.counters(&table::REFUSED_CLIENTS, &PROCESS.refused_clients);
        readings.number(
            &table::LOG_LINES_DROPPED,
            None,
            PROCESS.log_lines_dropped.load(Ordering::Relaxed),
        );
        let dropped = PROCESS.metrics_dropped.load(Ordering::Relaxed);
        readings.number(&table::METRICS_DROPPED, None, dropped);
        readings.0
    }

    fn gauges(&mut self, state: Option<&StateSnapshot>) {
        let mut runners = [0; RunnerActivity::ATTRIBUTE.values.len()];
        for runner in state.iter().flat_map(|state| &state.runners) {
            let activity = match runner.state {
                RunnerState::Booting => RunnerActivity::Booting,
                RunnerState::Up if runner.leases == 0 => RunnerActivity::Idle,
                RunnerState::Up => RunnerActivity::Active,
                RunnerState::Retiring | RunnerState::Draining => RunnerActivity::Draining,
                RunnerState::Stopping => RunnerActivity::Stopping,
            };
            runners[activity.index()] += 1;
        }
        for (state, count) in RunnerActivity::ATTRIBUTE.values.iter().zip(runners) {
            self.number(&table::RUNNERS, Some(state), count);
        }
        let (leases, queued) = state.map(|state| (state.leased, state.queued)).unwrap_or_default();
        self.number(&table::LEASES, None, leases as u64);
        self.number(&table::QUEUE_LENGTH, None, queued as u64);
    }

    fn counters<A: AttributeValue>(&mut self, metric: &'static Metric, counters: &Counters<A>) {
        for (attribute, count) in A::ATTRIBUTE.values.iter().zip(counters.read()) {
            self.number(metric, Some(attribute), count);
        }
    }

    fn histograms<A: AttributeValue>(&mut self, metric: &'static Metric, all: &Histograms<A>) {
        for (attribute, histogram) in A::ATTRIBUTE.values.iter().zip(all.read()) {
            let value = ReadingValue::Histogram(histogram.read());
            self.0.push(Reading { metric, attribute: Some(attribute), value });
        }
    }

    fn number(&mut self, metric: &'static Metric, attribute: Option<&'static str>, number: u64) {
        let value = ReadingValue::Number(as_f64(number));
        self.0.push(Reading { metric, attribute, value });
    }
}
