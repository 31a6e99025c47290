//! Converts reports into lines of CloudWatch's embedded metric format. Pure.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::super::cloudwatch_names::CloudWatchTarget;
use crate::metrics::histogram::{HistogramReading, as_f64};
use crate::metrics::interval::Change;
use crate::metrics::reading::ReadingValue;
use crate::metrics::reports::Report;

/// The most metrics in a line, and the most values of a metric, that the specification allows.
pub(super) const MAX_METRICS: usize = 100;
pub(super) const MAX_VALUES: usize = 100;

/// A line of output.
pub(super) struct EmfLine {
    /// The JSON text and a line feed.
    pub(super) text: Vec<u8>,
    /// How many data points it has.
    pub(super) points: usize,
}

impl EmfLine {
    /// The lines of a report: one, unless it has more metrics or values than a line may have.
    pub(super) fn of_report(
        target: &CloudWatchTarget,
        report: &Report,
        at: SystemTime,
    ) -> Vec<Self> {
        let sets = target.dimension_sets(&report.subject);
        let names = |set: &Vec<(&'static str, String)>| set.iter().map(|(name, _)| *name).collect();
        let dimensions: Vec<Vec<_>> = sets.iter().map(names).collect();
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = u64::try_from(since.as_millis()).unwrap_or_default();
        let lines = pages(report.changes.iter().flat_map(data_points)).into_iter().map(|page| {
            let points = page.len();
            let mut root = Map::new();
            for (name, value) in sets.iter().flatten() {
                root.insert((*name).to_owned(), value.as_str().into());
            }
            let metrics: Vec<_> = page
                .iter()
                .map(|point| json!({ "Name": point.name, "Unit": point.unit }))
                .collect();
            root.extend(page.into_iter().map(|point| (point.name, point.value)));
            let directive =
                json!({ "Namespace": target.namespace, "Dimensions": dimensions, "Metrics": metrics });
            let metadata = json!({ "Timestamp": timestamp, "CloudWatchMetrics": [directive] });
            root.insert("_aws".to_owned(), metadata);
            let mut text = Value::Object(root).to_string().into_bytes();
            text.push(b'\n');
            Self { text, points }
        });
        lines.collect()
    }
}

struct DataPoint {
    name: String,
    unit: &'static str,
    value: Value,
}

/// The data points of a change: several, if it is a histogram with too many values.
fn data_points(change: &Change) -> Vec<DataPoint> {
    let values = match &change.value {
        ReadingValue::Number(number) => vec![json!(number)],
        ReadingValue::Histogram(HistogramReading { buckets, sum }) => {
            let sum = (buckets.len() <= MAX_VALUES).then_some(*sum);
            buckets.chunks(MAX_VALUES).map(|part| histogram(part, sum)).collect()
        }
    };
    let name = change.metric.cloudwatch_name(change.attribute);
    let unit = change.metric.cloudwatch_unit();
    values.into_iter().map(|value| DataPoint { name: name.clone(), unit, value }).collect()
}

/// A part of a histogram. Its sum is that of its buckets, if the exact one is not known.
fn histogram(buckets: &[(f64, u64)], sum: Option<f64>) -> Value {
    let approximate = || buckets.iter().map(|(value, count)| value * as_f64(*count)).sum::<f64>();
    json!({
        "Values": buckets.iter().map(|(value, _)| value).collect::<Vec<_>>(),
        "Counts": buckets.iter().map(|(_, count)| count).collect::<Vec<_>>(),
        "Min": buckets.first().map(|(value, _)| value),
        "Max": buckets.last().map(|(value, _)| value),
        "Count": buckets.iter().map(|(_, count)| count).sum::<u64>(),
        "Sum": sum.unwrap_or_else(approximate),
    })
}

/// Distributes data points among lines. No line has the same name twice.
fn pages(points: impl Iterator<Item = DataPoint>) -> Vec<Vec<DataPoint>> {
    let mut pages: Vec<Vec<DataPoint>> = Vec::new();
    for point in points {
        let has_room = |page: &&mut Vec<DataPoint>| {
            page.len() < MAX_METRICS && page.iter().all(|other| other.name != point.name)
        };
        match pages.iter_mut().find(has_room) {
            Some(page) => page.push(point),
            None => pages.push(vec![point]),
        }
    }
    pages
}
