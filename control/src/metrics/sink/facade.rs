//! Metrics for the recorder of the `metrics` crate.

use std::time::{Duration, SystemTime};

use ::metrics::{self as facade, Label};

use crate::metrics::interval::Change;
use crate::metrics::reading::ReadingValue;
use crate::metrics::reports::{Report, Subject};
use crate::metrics::sink::{self, Reporter, Sink, SinkError, SinkHandle};
use crate::metrics::table::{METRICS, MetricKind, Unit};

/// Reports metrics to the recorder that the app has installed with the
/// [`metrics`](https://docs.rs/metrics) crate, such as an exporter for Prometheus, StatsD or
/// OpenTelemetry.
///
/// ```no_run
/// use flame_aws::App;
/// use flame_aws::metrics::Facade;
///
/// # async fn serve() -> Result<(), flame_aws::AppError> { Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), flame_aws::AppError> {
/// // Install a recorder first, for example with metrics-exporter-prometheus.
/// App::new().metrics(Facade::new()).run(serve).await
/// # }
/// ```
///
/// The names are those of [`METRICS`], which exporters write in their own way: Prometheus shows
/// `flame.calls` as `flame_calls`. The labels are `pool` and `backend`, and the key of the metric's
/// attribute, such as `outcome`. Metrics of the process have neither `pool` nor `backend`.
///
/// Durations reach the recorder as the middles of their buckets, so each is wrong by at most 1/16;
/// see [`HistogramReading`](crate::metrics::HistogramReading). A counter or a histogram appears when
/// something has happened in it. `flame.cost.estimated` is a gauge here, because the counters of
/// the `metrics` crate count in whole numbers. The recorder must be the global one.
#[derive(Debug, Clone)]
#[must_use = "a sink does nothing until it is started"]
pub struct Facade {
    period: Duration,
}

impl Default for Facade {
    fn default() -> Self {
        Self { period: Duration::from_secs(5) }
    }
}

impl Facade {
    /// A sink for the global recorder.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time between two updates of the recorder: at least one second. Default: 5 s. Choose a
    /// period that is no longer than that in which the exporter is read.
    pub fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// Starts to report, as [`Sink::start`] does.
    ///
    /// # Errors
    /// [`SinkError`] if an option is wrong.
    pub async fn start(self) -> Result<SinkHandle, SinkError> {
        Sink::start(self).await
    }
}

impl sink::sealed::Sealed for Facade {}

impl Sink for Facade {
    async fn start(self) -> Result<SinkHandle, SinkError> {
        sink::check_period(self.period)?;
        describe();
        Ok(sink::spawn(self.period, FacadeReporter))
    }
}

/// Gives the recorder the unit and the meaning of each metric.
fn describe() {
    for metric in METRICS {
        let unit = match metric.unit {
            Unit::Count => facade::Unit::Count,
            Unit::Seconds => facade::Unit::Seconds,
            Unit::Bytes => facade::Unit::Bytes,
            Unit::Dollars => {
                facade::describe_gauge!(metric.name, metric.meaning);
                continue;
            }
        };
        let (name, meaning) = (metric.name, metric.meaning);
        match metric.kind {
            MetricKind::Counter => facade::describe_counter!(name, unit, meaning),
            MetricKind::Gauge => facade::describe_gauge!(name, unit, meaning),
            MetricKind::Histogram => facade::describe_histogram!(name, unit, meaning),
        }
    }
}

struct FacadeReporter;

impl Reporter for FacadeReporter {
    fn report(&mut self, reports: Vec<Report>, _: SystemTime) {
        for Report { subject, changes } in reports {
            for change in &changes {
                record(labels(&subject, change), change);
            }
        }
    }

    async fn work(&mut self) {
        std::future::pending().await
    }

    fn waiting(&self) -> usize {
        0
    }
}

fn labels(subject: &Subject, change: &Change) -> Vec<Label> {
    let mut labels = match subject {
        Subject::Process => Vec::new(),
        Subject::Pool { pool } => vec![Label::new("pool", pool.clone())],
        Subject::Backend { pool, backend } | Subject::OnlyBackend { pool, backend } => {
            vec![Label::new("pool", pool.clone()), Label::new("backend", backend.clone())]
        }
    };
    if let (Some(attribute), Some(value)) = (change.metric.attribute, change.attribute) {
        labels.push(Label::new(attribute.key, value));
    }
    labels
}

/// Records a change. Counters grow by the difference: an absolute value would stand still when a
/// pool ends and another of the same name starts.
fn record(labels: Vec<Label>, change: &Change) {
    let name = change.metric.name;
    match (change.metric.kind, &change.value) {
        (MetricKind::Gauge, ReadingValue::Number(now)) => facade::gauge!(name, labels).set(*now),
        // The facade's counters count in whole numbers.
        (_, ReadingValue::Number(more)) if change.metric.unit == Unit::Dollars => {
            facade::gauge!(name, labels).increment(*more);
        }
        (_, ReadingValue::Number(more)) => facade::counter!(name, labels).increment(whole(*more)),
        (_, ReadingValue::Histogram(more)) => {
            let histogram = facade::histogram!(name, labels);
            for &(value, count) in &more.buckets {
                histogram.record_many(value, usize::try_from(count).unwrap_or(usize::MAX));
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count is a whole number that is not negative"
)]
fn whole(count: f64) -> u64 {
    count as u64
}
