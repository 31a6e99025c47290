//! Converts reports into the data that PutMetricData takes. Pure.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::cloudwatch_names::{CloudWatchTarget, Dimension};
use crate::metrics::histogram::as_f64;
use crate::metrics::reading::ReadingValue;
use crate::metrics::reports::Report;

/// The most values of a datum
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>).
const MAX_VALUES: usize = 150;

/// The values of one metric of CloudWatch in one period.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Datum {
    pub(super) name: String,
    pub(super) dimensions: Arc<[Dimension]>,
    pub(super) unit: &'static str,
    pub(super) at: SystemTime,
    /// Each value, and how often it occurred.
    pub(super) values: Vec<(f64, f64)>,
}

impl Datum {
    /// An upper limit of the datum's bytes in a request. The SDK sends CBOR, in which a number
    /// takes 9 bytes, and the names of a datum's fields, with its time, take less than 120.
    pub(super) fn size(&self) -> usize {
        let dimension = |(name, value): &Dimension| name.len() + value.len() + 24;
        let dimensions: usize = self.dimensions.iter().map(dimension).sum();
        120 + self.name.len() + self.unit.len() + dimensions + 18 * self.values.len()
    }
}

/// The data of a report, for each of its sets of dimensions.
pub(super) fn data(target: &CloudWatchTarget, report: &Report, at: SystemTime) -> Vec<Datum> {
    let mut data = Vec::new();
    for dimensions in target.dimension_sets(&report.subject) {
        let dimensions: Arc<[Dimension]> = dimensions.into();
        for change in &report.changes {
            let values: Vec<_> = match &change.value {
                ReadingValue::Number(number) => vec![(*number, 1.0)],
                ReadingValue::Histogram(histogram) => {
                    let buckets = histogram.buckets.iter();
                    buckets.map(|(value, count)| (*value, as_f64(*count))).collect()
                }
            };
            data.extend(values.chunks(MAX_VALUES).map(|values| Datum {
                name: change.metric.cloudwatch_name(change.attribute),
                dimensions: dimensions.clone(),
                unit: change.metric.cloudwatch_unit(),
                at,
                values: values.to_vec(),
            }));
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::HistogramReading;
    use crate::metrics::interval::Change;
    use crate::metrics::reports::Subject;
    use crate::metrics::table;

    #[test]
    fn a_report_becomes_data_for_each_set_of_dimensions_within_the_limit_of_values() {
        let buckets = (1..=200).map(|n| (f64::from(n), u64::from(n as u32))).collect();
        let histogram = HistogramReading { buckets, sum: 0.0 };
        let changes = vec![
            Change {
                metric: &table::QUEUE_LENGTH,
                attribute: None,
                value: ReadingValue::Number(4.0),
            },
            Change {
                metric: &table::CALL_DURATION,
                attribute: Some("run"),
                value: ReadingValue::Histogram(histogram),
            },
        ];
        let subject = Subject::OnlyBackend { pool: "p".to_owned(), backend: "ecs".to_owned() };
        let target = CloudWatchTarget::new("app".to_owned());
        let data = data(&target, &Report { subject, changes }, SystemTime::UNIX_EPOCH);
        let shown: Vec<_> = data
            .iter()
            .map(|datum| {
                let count: f64 = datum.values.iter().map(|(_, count)| count).sum();
                (&*datum.name, datum.dimensions.len(), datum.values.len(), count, datum.unit)
            })
            .collect();
        let of_set = |dimensions| {
            [
                ("flame.queue.length", dimensions, 1, 1.0, "Count"),
                ("flame.call.duration.run", dimensions, 150, 11_325.0, "Seconds"),
                ("flame.call.duration.run", dimensions, 50, 8_775.0, "Seconds"),
            ]
        };
        assert_eq!(shown, [of_set(2), of_set(3)].concat());
    }
}
