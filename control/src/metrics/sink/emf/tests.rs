use std::collections::BTreeSet;
use std::sync::Arc;

use flame_wire::sync::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use super::line::{MAX_METRICS, MAX_VALUES};
use super::*;
use crate::metrics::histogram::HistogramReading;
use crate::metrics::interval::Change;
use crate::metrics::reading::ReadingValue;
use crate::metrics::reports::Subject;
use crate::metrics::table::{self, METRICS};

/// A number that is not 0 for each series of the table, with `buckets` buckets in each histogram.
fn all_series(buckets: u32) -> Vec<Change> {
    let histogram = || {
        let buckets = (1..=buckets).map(|n| (f64::from(n), u64::from(n))).collect();
        HistogramReading { buckets, sum: 12.5 }
    };
    let series = METRICS.iter().flat_map(|&metric| {
        let values = metric.attribute.map(|attribute| attribute.values).unwrap_or_default();
        let attributes = values.iter().copied().map(Some);
        let attributes: Vec<_> = if values.is_empty() { vec![None] } else { attributes.collect() };
        attributes.into_iter().map(move |attribute| (metric, attribute))
    });
    let change = |(metric, attribute): (&'static table::Metric, _)| {
        let value = match metric.kind {
            table::MetricKind::Histogram => ReadingValue::Histogram(histogram()),
            _ => ReadingValue::Number(3.0),
        };
        Change { metric, attribute, value }
    };
    series.map(change).collect()
}

fn lines(changes: Vec<Change>, subject: Subject) -> Vec<Value> {
    let target = CloudWatchTarget::new("app".to_owned());
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    let lines = EmfLine::of_report(&target, &Report { subject, changes }, at);
    let parse = |line: EmfLine| {
        assert_eq!(line.text.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(line.text.last(), Some(&b'\n'));
        // The most that CloudWatch Logs accepted for an event before April 2025.
        assert!(line.text.len() < 256 * 1024);
        serde_json::from_slice(&line.text).unwrap()
    };
    lines.into_iter().map(parse).collect()
}

/// Checks what the specification and its JSON schema demand of a document. Returns the names of its
/// metrics.
pub(crate) fn check_document(document: &Value) -> BTreeSet<String> {
    let root = document.as_object().unwrap();
    let metadata = root["_aws"].as_object().unwrap();
    assert!(metadata["Timestamp"].is_u64(), "{metadata:?}");
    let directives = metadata["CloudWatchMetrics"].as_array().unwrap();
    assert!(!directives.is_empty());
    let mut names = BTreeSet::new();
    for directive in directives {
        let keys: Vec<_> = directive.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["Dimensions", "Metrics", "Namespace"]);
        assert!((1..=1024).contains(&directive["Namespace"].as_str().unwrap().len()));
        let sets = directive["Dimensions"].as_array().unwrap();
        assert!(!sets.is_empty());
        for set in sets {
            let set = set.as_array().unwrap();
            assert!((1..=30).contains(&set.len()));
            for name in set {
                assert!(root[name.as_str().unwrap()].is_string(), "a dimension is a string");
            }
        }
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!((1..=MAX_METRICS).contains(&metrics.len()), "{}", metrics.len());
        for metric in metrics {
            let name = metric["Name"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} twice in one document");
            assert!(
                ["Seconds", "Bytes", "Count", "None"].contains(&metric["Unit"].as_str().unwrap())
            );
            check_target(&root[name]);
        }
    }
    names
}

fn check_target(target: &Value) {
    if target.is_number() {
        return;
    }
    let [values, counts] = ["Values", "Counts"].map(|key| target[key].as_array().unwrap());
    assert!((1..=MAX_VALUES).contains(&values.len()));
    assert_eq!(values.len(), counts.len());
    assert!(values.iter().chain(counts).all(Value::is_number));
    let total: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(target["Count"].as_u64(), Some(total));
    assert!(["Min", "Max", "Sum"].iter().all(|key| target[key].is_number()));
}

#[test]
fn a_report_is_one_document_of_the_specification_with_each_series() {
    let changes = all_series(3);
    let series = changes.len();
    let subject = Subject::OnlyBackend { pool: "p".to_owned(), backend: "ecs".to_owned() };
    let [document] = &lines(changes, subject)[..] else { panic!("several lines") };
    let names = check_document(document);
    assert_eq!(names.len(), series);
    let expected = serde_json::json!([["App", "Pool"], ["App", "Pool", "Backend"]]);
    assert_eq!(document["_aws"]["CloudWatchMetrics"][0]["Dimensions"], expected);
    assert_eq!(document["_aws"]["Timestamp"], 1_700_000_000_123_u64);
    assert_eq!([&document["App"], &document["Pool"], &document["Backend"]], ["app", "p", "ecs"]);
    assert_eq!(document["flame.runners.idle"], 3.0);
    let run = &document["flame.call.duration.run"];
    assert_eq!((&run["Sum"], &run["Max"], &run["Count"]), (&12.5.into(), &3.0.into(), &6.into()));
}

#[test]
fn too_many_metrics_or_values_for_one_line_are_divided_and_none_is_lost() {
    let changes = all_series(250);
    let series: BTreeSet<_> =
        changes.iter().map(|change| change.metric.cloudwatch_name(change.attribute)).collect();
    let many = changes.iter().cycle().take(5 * changes.len()).cloned().collect();
    let documents = lines(many, Subject::Process);
    let mut values = 0;
    let mut seen = BTreeSet::new();
    for document in &documents {
        seen.append(&mut check_document(document));
        values += document["flame.call.duration.run"]["Values"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(seen, series);
    assert_eq!(values, 5 * 250);
}

/// A destination that accepts nothing until it is opened.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<(Mutex<bool>, std::sync::Condvar)>,
    written: Arc<Mutex<Vec<u8>>>,
    entered: Arc<Notify>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.entered.notify_one();
        let (open, opened) = &*self.open;
        let mut is_open = open.lock();
        while !*is_open {
            is_open = opened.wait(is_open).unwrap();
        }
        self.written.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Gate {
    fn open(&self) {
        *self.open.0.lock() = true;
        self.open.1.notify_all();
    }
}

#[tokio::test]
async fn lines_that_nobody_reads_are_bounded_and_the_oldest_are_dropped_and_counted() {
    let gate = Gate::default();
    let mut output = EmfWriter::new(Box::new(gate.clone())).unwrap();
    let line = |n: u32| EmfLine { text: format!("{n:>1023}\n").into_bytes(), points: 7 };
    assert_eq!(output.push(line(0)), 0);
    // The first line is being written, and does not count as waiting.
    tokio::select! {
        _ = output.written() => panic!("the gate is closed"),
        () = gate.entered.notified() => {}
    }
    let fits = u32::try_from(MAX_WAITING_BYTES / 1024).unwrap();
    let dropped: usize = (1..=fits + 2).map(|n| output.push(line(n))).sum();
    assert_eq!(dropped, 2 * 7);
    assert_eq!(output.points(), (fits as usize + 1) * 7);
    gate.open();
    while output.points() > 0 {
        output.written().await.1.unwrap();
    }
    let written = String::from_utf8(gate.written.lock().clone()).unwrap();
    let numbers: Vec<u32> = written.lines().map(|line| line.trim().parse().unwrap()).collect();
    let kept: Vec<_> = std::iter::once(0).chain(3..=fits + 2).collect();
    assert_eq!(numbers, kept);
}

#[tokio::test]
async fn a_destination_that_fails_is_reported_and_the_next_line_is_written() {
    struct FailsOnce(bool, Gate);
    impl Write for FailsOnce {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                self.1.write(bytes)
            } else {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let gate = Gate::default();
    gate.open();
    let mut output = EmfWriter::new(Box::new(FailsOnce(false, gate.clone()))).unwrap();
    for text in ["first\n", "second\n"] {
        output.push(EmfLine { text: text.as_bytes().to_vec(), points: 1 });
    }
    assert!(output.written().await.1.is_err());
    output.written().await.1.unwrap();
    assert_eq!(*gate.written.lock(), b"second\n");
}

#[tokio::test]
async fn options_that_cloudwatch_rejects_are_errors_at_the_start() {
    for (sink, option) in [
        (Emf::new(""), "app"),
        (Emf::new("a").namespace("AWS/Flame"), "namespace"),
        (Emf::new("a").period(Duration::from_millis(10)), "period"),
    ] {
        let error = sink.start().await.unwrap_err();
        assert!(matches!(error, SinkError::BadOption { option: o, .. } if o == option), "{error}");
    }
}
