//! Reads metrics for tests.

use std::collections::BTreeSet;

use flame_aws::metrics::{self, METRICS, ReadingValue, Source};
use serde_json::Value;

/// The metrics that the suite `life` sees, with child processes.
pub const OF_PROCESSES: [&str; 12] = [
    "flame.boot.duration",
    "flame.boot.failures",
    "flame.call.duration",
    "flame.calls",
    "flame.leases",
    "flame.link.bytes",
    "flame.listener.refusals",
    "flame.log.dropped",
    "flame.queue.length",
    "flame.runner.exits",
    "flame.runner.reconnects",
    "flame.runners",
];

/// The metrics that only the suite `ecs` sees, in an emulated AWS.
pub const OF_AWS: [&str; 3] =
    ["flame.cost.estimated", "flame.metrics.dropped", "flame.orphans.stopped"];

/// A series: the metric's name, and the value of its attribute.
pub type Series = (&'static str, Option<&'static str>);

/// The series of some pools that have ever had a value other than zero.
#[derive(Debug, Default)]
pub struct SeenSeries(pub BTreeSet<Series>);

impl SeenSeries {
    /// Reads the pools of these names.
    pub fn look(&mut self, pools: &[&str]) {
        self.0.extend(values(
            |source| matches!(source, Source::Pool { pool, .. } if pools.contains(&&**pool)),
        ));
    }

    /// The names of the metrics that were seen.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&'static str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }
}

/// Returns the series of these sources that have another value than zero now.
fn values(of: impl Fn(&Source) -> bool) -> Vec<Series> {
    let sources = metrics::read().into_iter().filter(|source| of(&source.source));
    let readings = sources.flat_map(|source| source.readings);
    let with_value = readings.filter(|reading| match &reading.value {
        ReadingValue::Number(number) => *number != 0.0,
        ReadingValue::Histogram(histogram) => histogram.count() > 0,
    });
    with_value.map(|reading| (reading.metric.name, reading.attribute)).collect()
}

/// Returns the value of a counter of the process, added up over its attribute.
#[must_use]
pub fn of_process(name: &str) -> f64 {
    let sources = metrics::read().into_iter().filter(|source| source.source == Source::Process);
    let readings = sources.flat_map(|source| source.readings);
    let values = readings.filter(|reading| reading.metric.name == name).map(|reading| {
        let ReadingValue::Number(number) = reading.value else { panic!("{reading:?}") };
        number
    });
    values.sum()
}

/// Returns the names in CloudWatch of all series of the table.
#[must_use]
pub fn cloudwatch_names() -> BTreeSet<String> {
    let names = METRICS.iter().flat_map(|metric| match metric.attribute {
        Some(attribute) => {
            let values = attribute.values.iter();
            values.map(|value| metric.cloudwatch_name(Some(value))).collect()
        }
        None => vec![metric.cloudwatch_name(None)],
    });
    names.collect()
}

/// Returns the documents in CloudWatch's embedded metric format among these lines.
///
/// # Panics
/// Panics if a line has a part of such a document.
#[must_use]
pub fn documents(printed: &str) -> Vec<Value> {
    let lines = printed.lines().filter(|line| line.contains("_aws"));
    let parsed = lines.map(serde_json::from_str);
    parsed.collect::<Result<_, _>>().expect("each line is a whole document")
}

/// Adds up the values of a metric in the documents that have these dimensions.
#[must_use]
pub fn sum(documents: &[Value], dimensions: &[&str], name: &str) -> f64 {
    let is_its = |document: &&Value| {
        let sets = document["_aws"]["CloudWatchMetrics"][0]["Dimensions"].as_array();
        sets.is_some_and(|sets| sets.iter().any(|set| *set == serde_json::json!(dimensions)))
    };
    let documents = documents.iter().filter(is_its);
    documents.filter_map(|document| document[name].as_f64()).sum()
}
