use std::sync::Arc;

use flame_wire::sync::Mutex;

use super::*;
use crate::Pool;
use crate::backend::Local;
use crate::metrics::reading::ReadingValue;
use crate::metrics::reports::Subject;
use crate::metrics::table;

/// A reporter that records its reports, and that has data points which it can't send.
#[derive(Clone, Default)]
struct RecordingReporter {
    reports: Arc<Mutex<Vec<Vec<Report>>>>,
    unsent: usize,
    blocked: bool,
}

impl Reporter for RecordingReporter {
    fn report(&mut self, reports: Vec<Report>, _: SystemTime) {
        self.reports.lock().push(reports);
    }

    async fn work(&mut self) {
        std::future::pending().await
    }

    fn waiting(&self) -> usize {
        self.unsent
    }

    fn is_blocked(&self) -> bool {
        self.blocked
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// The sum of a counter or of a gauge of one pool in all reports.
fn sum(told: &RecordingReporter, pool: &str, name: &str) -> f64 {
    let reports = told.reports.lock();
    let of_pool = reports
        .iter()
        .flatten()
        .filter(|report| matches!(&report.subject, Subject::Backend { pool: p, .. } if p == pool));
    let changes = of_pool.flat_map(|report| &report.changes);
    let numbers = changes.filter(|change| change.metric.name == name).map(|change| {
        let ReadingValue::Number(number) = change.value else { panic!("{change:?}") };
        number
    });
    numbers.sum()
}

#[tokio::test(start_paused = true)]
async fn a_report_is_made_in_each_period() {
    let told = RecordingReporter::default();
    let sink = spawn(MINUTE, told.clone());
    tokio::time::sleep(MINUTE * 3 + Duration::from_secs(1)).await;
    assert_eq!(told.reports.lock().len(), 3);
    drop(sink);
    tokio::time::sleep(MINUTE * 3).await;
    assert_eq!(told.reports.lock().len(), 3, "the handle was dropped");
}

#[tokio::test]
async fn a_flush_reports_a_pool_that_has_started_and_ended_within_the_period() {
    let (first, second) = (RecordingReporter::default(), RecordingReporter::default());
    let sinks = [spawn(MINUTE, first.clone()), spawn(MINUTE, second.clone())];
    let pool = Pool::builder("short").backend(Local::new()).min(1).start().await.unwrap();
    pool.ready().await;
    pool.drain().await;
    for sink in &sinks {
        sink.flush().await.unwrap();
    }
    for told in [first, second] {
        assert_eq!(sum(&told, "short", table::RUNNER_EXITS.name), 1.0);
        assert_eq!(sum(&told, "short", table::RUNNERS.name), 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_in_time_and_says_what_is_left() {
    let sink = spawn(MINUTE, RecordingReporter { unsent: 7, ..RecordingReporter::default() });
    let began = Instant::now();
    let error = sink.flush().await.unwrap_err();
    assert!(matches!(error, SinkError::NotFlushed { waiting: 7 }), "{error}");
    assert_eq!(began.elapsed(), FLUSH_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_can_t_succeed_does_not_wait() {
    let sink = spawn(
        MINUTE,
        RecordingReporter { unsent: 7, blocked: true, ..RecordingReporter::default() },
    );
    let began = Instant::now();
    sink.flush().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_flush_after_the_end_of_the_runtime_is_an_error() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let sink = runtime().block_on(async { spawn(MINUTE, RecordingReporter::default()) });
    let error = runtime().block_on(sink.flush()).unwrap_err();
    assert!(matches!(error, SinkError::Ended), "{error}");
}
