//! The changes between two readings of the same series. Pure.

use std::collections::HashMap;

use super::reading::{Reading, ReadingValue};
use super::registry::{Source, SourceReadings};
use super::table::{Metric, MetricKind};

/// Turns readings, which count from the start, into the changes since the readings before.
#[derive(Default)]
pub(crate) struct Intervals {
    last: HashMap<Source, HashMap<SeriesKey, ReadingValue>>,
}

/// A series of one source: the metric's name, and the value of its attribute.
type SeriesKey = (&'static str, Option<&'static str>);

/// The change of one series since the reading before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) metric: &'static Metric,
    pub(crate) attribute: Option<&'static str>,
    /// Of a gauge, the value now; otherwise the difference.
    pub(crate) value: ReadingValue,
}

impl Intervals {
    /// The changes of each source since the last call. A counter or a histogram in which nothing
    /// happened is left out.
    pub(crate) fn next(&mut self, readings: Vec<SourceReadings>) -> Vec<(Source, Vec<Change>)> {
        let mut before = std::mem::take(&mut self.last);
        let changes = readings.into_iter().map(|SourceReadings { source, readings }| {
            let known = before.remove(&source).unwrap_or_default();
            let changes = readings.iter().filter_map(|reading| change(reading, &known)).collect();
            let last = readings.into_iter().map(|reading| (key(&reading), reading.value));
            self.last.insert(source.clone(), last.collect());
            (source, changes)
        });
        changes.collect()
    }
}

fn key(reading: &Reading) -> SeriesKey {
    (reading.metric.name, reading.attribute)
}

fn change(reading: &Reading, known: &HashMap<SeriesKey, ReadingValue>) -> Option<Change> {
    let value = match (&reading.value, known.get(&key(reading))) {
        (ReadingValue::Number(now), _) if reading.metric.kind == MetricKind::Gauge => {
            ReadingValue::Number(*now)
        }
        (ReadingValue::Number(now), before) => {
            let before = match before {
                Some(ReadingValue::Number(before)) => *before,
                _ => 0.0,
            };
            if *now <= before {
                return None;
            }
            ReadingValue::Number(now - before)
        }
        (ReadingValue::Histogram(now), before) => {
            let new = match before {
                Some(ReadingValue::Histogram(before)) => now.since(before),
                _ => now.clone(),
            };
            if new.buckets.is_empty() {
                return None;
            }
            ReadingValue::Histogram(new)
        }
    };
    Some(Change { metric: reading.metric, attribute: reading.attribute, value })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::histogram::Histogram;
    use super::super::table;
    use super::*;

    fn number(metric: &'static Metric, value: f64) -> Reading {
        Reading { metric, attribute: None, value: ReadingValue::Number(value) }
    }

    fn of_process(readings: Vec<Reading>) -> Vec<SourceReadings> {
        vec![SourceReadings { source: Source::Process, readings }]
    }

    /// The names and values of the changes of one source.
    fn changes(intervals: &mut Intervals, readings: Vec<Reading>) -> Vec<(&'static str, f64)> {
        let changes = intervals.next(of_process(readings)).remove(0).1;
        let value = |change: &Change| match &change.value {
            ReadingValue::Number(number) => *number,
            ReadingValue::Histogram(histogram) => {
                super::super::histogram::as_f64(histogram.count())
            }
        };
        changes.iter().map(|change| (change.metric.name, value(change))).collect()
    }

    #[test]
    fn a_counter_shows_its_growth_and_a_gauge_its_value() {
        let mut intervals = Intervals::default();
        let (counter, gauge) = (&table::RECONNECTS, &table::LEASES);
        let mut next = |count, value| {
            changes(&mut intervals, vec![number(counter, count), number(gauge, value)])
        };
        assert_eq!(next(5.0, 3.0), [(counter.name, 5.0), (gauge.name, 3.0)]);
        assert_eq!(next(7.0, 3.0), [(counter.name, 2.0), (gauge.name, 3.0)]);
        assert_eq!(next(7.0, 0.0), [(gauge.name, 0.0)], "a counter that stands still is left out");
    }

    #[test]
    fn a_histogram_shows_what_was_recorded_since_the_last_time() {
        let mut intervals = Intervals::default();
        let histogram = Histogram::new();
        let reading = |histogram: &Histogram| Reading {
            metric: &table::CALL_DURATION,
            attribute: Some("run"),
            value: ReadingValue::Histogram(histogram.read()),
        };
        histogram.record(Duration::from_millis(3));
        assert_eq!(changes(&mut intervals, vec![reading(&histogram)])[0].1, 1.0);
        assert_eq!(changes(&mut intervals, vec![reading(&histogram)]), []);
        histogram.record(Duration::from_millis(3));
        histogram.record(Duration::from_millis(90));
        assert_eq!(changes(&mut intervals, vec![reading(&histogram)])[0].1, 2.0);
    }

    #[test]
    fn a_source_that_is_gone_is_forgotten() {
        let mut intervals = Intervals::default();
        let reading = || vec![number(&table::RECONNECTS, 5.0)];
        intervals.next(of_process(reading()));
        intervals.next(Vec::new());
        assert!(intervals.last.is_empty());
        assert_eq!(changes(&mut intervals, reading()), [(table::RECONNECTS.name, 5.0)]);
    }
}
