//! The task that sends metrics in each period, and the handle of it. The kinds of sinks are in the
//! modules below.
//!
//! ```text
//! every period, and at each flush:  Collector ──▶ Intervals ──▶ Reporter::report
//! in between:                       Reporter::work, which sends the reports
//! ```

use std::time::{Duration, SystemTime};

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at};

use super::interval::Intervals;
use super::registry::Collector;
use super::reports::{self, Report};
use crate::backend::BackendError;

#[cfg(feature = "cloudwatch")]
mod cloudwatch;
mod cloudwatch_names;
mod emf;
#[cfg(feature = "metrics")]
mod facade;
#[cfg(test)]
mod tests;

#[cfg(feature = "cloudwatch")]
pub use cloudwatch::CloudWatch;
pub use cloudwatch_names::CLOUDWATCH_NAMESPACE;
pub use emf::Emf;
#[cfg(feature = "metrics")]
pub use facade::Facade;

/// How long a flush may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest period.
const MIN_PERIOD: Duration = Duration::from_secs(1);

/// A destination of this process's metrics: [`Emf`](super::Emf), and with their features
/// `CloudWatch` and `Facade`.
///
/// Give sinks to the app, which starts them in the parent, and flushes them at its end:
///
/// ```no_run
/// use flame_aws::App;
/// use flame_aws::metrics::Emf;
///
/// # async fn serve() -> Result<(), flame_aws::AppError> { Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), flame_aws::AppError> {
/// App::new().metrics(Emf::new("my-app")).run(serve).await
/// # }
/// ```
///
/// Each sink reads for itself, so several can be used at once. This crate alone implements the
/// trait. To send metrics elsewhere, use the `metrics` crate's exporters with `Facade`, or
/// [`read`](super::read).
pub trait Sink: sealed::Sealed + Send + Sized + 'static {
    /// Starts to send metrics from the current tokio runtime, for use without
    /// [`App::metrics`](crate::App::metrics). The sink sends metrics until the handle is dropped.
    ///
    /// # Errors
    /// [`SinkError`] if an option is wrong, or if the sink can't be set up.
    fn start(self) -> impl Future<Output = Result<SinkHandle, SinkError>> + Send;
}

pub(super) mod sealed {
    /// Makes [`Sink`](super::Sink) a trait that only this crate implements.
    pub trait Sealed {}
}

/// A reason for which metrics can't be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// An option of the sink is wrong.
    #[error("the option `{option}` of a metrics sink is {value:?}, which {why}")]
    BadOption {
        /// The name of the option.
        option: &'static str,
        /// Its value.
        value: String,
        /// Why the value is wrong, and which values are right.
        why: String,
    },
    /// CloudWatch can't be used.
    #[error("metrics can't be sent to CloudWatch: {0}")]
    CloudWatch(#[source] BackendError),
    /// The thread that writes to standard output can't be started.
    #[error("the thread that writes metrics to standard output can't be started")]
    Thread(#[source] std::io::Error),
    /// Data points were not sent: the time of the flush was over, or they can't be sent until a
    /// person corrects something. A warning in the log has the reason.
    #[error(
        "{waiting} data points of metrics were not sent in the time of the flush; a warning in the \
         log has the reason"
    )]
    NotFlushed {
        /// The number of data points that wait. They are sent later, if the process goes on.
        waiting: usize,
    },
    /// The runtime that the sink was started on has ended.
    #[error("the sink's runtime has ended: flush the sink before the runtime ends")]
    Ended,
}

/// A sink that sends metrics. When the handle is dropped, the sink ends, and sends nothing more.
#[derive(Debug)]
#[must_use = "dropping the handle ends the sink"]
pub struct SinkHandle {
    flushes: mpsc::Sender<FlushRequest>,
}

type FlushRequest = oneshot::Sender<Result<(), SinkError>>;

impl SinkHandle {
    /// Sends everything that has been recorded until now. Takes at most ten seconds. Cancel-safe:
    /// if the future is dropped, the sink goes on sending.
    ///
    /// # Errors
    /// [`SinkError::NotFlushed`] if data points could not be sent; [`SinkError::Ended`].
    pub async fn flush(&self) -> Result<(), SinkError> {
        let (answer, answered) = oneshot::channel();
        let flush = async {
            self.flushes.send(answer).await.map_err(|_| SinkError::Ended)?;
            answered.await.map_err(|_| SinkError::Ended)?
        };
        // The sink keeps the limit itself, unless another flush is under way.
        let limit = FLUSH_TIMEOUT * 2;
        timeout(limit, flush).await.unwrap_or(Err(SinkError::NotFlushed { waiting: 0 }))
    }
}

/// The sending part of a sink. Each kind of sink has its own.
pub(super) trait Reporter: Send + 'static {
    /// Takes the reports of the period that ends `at`. Does not wait.
    fn report(&mut self, reports: Vec<Report>, at: SystemTime);

    /// Makes one step of sending the reports that were taken. Waits while there is nothing to send.
    /// Cancel-safe: the next call continues a step that was dropped.
    fn work(&mut self) -> impl Future<Output = ()> + Send;

    /// The number of data points that were taken and are not sent yet.
    fn waiting(&self) -> usize;

    /// Whether the data points that wait can't be sent until a person corrects something.
    fn is_blocked(&self) -> bool {
        false
    }

    /// Tries blocked data points again at once: the person who asks for a flush may have corrected
    /// the cause.
    fn unblock(&mut self) {}
}

/// Checks the period of a sink.
pub(super) fn check_period(period: Duration) -> Result<(), SinkError> {
    if period >= MIN_PERIOD {
        return Ok(());
    }
    let why = format!("is shorter than {MIN_PERIOD:?}: choose a longer one");
    Err(SinkError::BadOption { option: "period", value: format!("{period:?}"), why })
}

/// Reports to `reporter` in each period, in a task of its own.
pub(super) fn spawn(period: Duration, reporter: impl Reporter) -> SinkHandle {
    let (flushes, requests) = mpsc::channel(1);
    let (collector, intervals) = (Collector::new(), Intervals::default());
    tokio::spawn(SinkTask { collector, intervals, reporter }.run(period, requests));
    SinkHandle { flushes }
}

struct SinkTask<R> {
    collector: Collector,
    intervals: Intervals,
    reporter: R,
}

impl<R: Reporter> SinkTask<R> {
    async fn run(mut self, period: Duration, mut flushes: mpsc::Receiver<FlushRequest>) {
        let mut periods = interval_at(Instant::now() + period, period);
        // After a pause of the process, one report has everything.
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = periods.tick() => self.report(),
                request = flushes.recv() => match request {
                    None => return,
                    Some(answer) => {
                        let flushed = self.flush().await;
                        let _ = answer.send(flushed);
                    }
                },
                () = self.reporter.work() => {}
            }
        }
    }

    fn report(&mut self) {
        let changes = self.intervals.next(self.collector.collect());
        self.reporter.report(reports::by_backend(changes), wall_clock());
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        let until = Instant::now() + FLUSH_TIMEOUT;
        self.report();
        self.reporter.unblock();
        while self.reporter.waiting() > 0 && !self.reporter.is_blocked() {
            if timeout_at(until, self.reporter.work()).await.is_err() {
                break;
            }
        }
        match self.reporter.waiting() {
            0 => Ok(()),
            waiting => Err(SinkError::NotFlushed { waiting }),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "reports have a point in time")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The sinks of an app.
#[derive(Default)]
pub(crate) struct AppSinks(Vec<StartSink>);

type StartSink = Box<dyn FnOnce() -> BoxFuture<'static, Result<SinkHandle, SinkError>> + Send>;

impl AppSinks {
    pub(crate) fn add(&mut self, sink: impl Sink) {
        self.0.push(Box::new(move || Box::pin(sink.start())));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Starts all sinks, or none.
    pub(crate) async fn start(self) -> Result<StartedSinks, SinkError> {
        let mut started = Vec::new();
        for start in self.0 {
            started.push(start().await?);
        }
        Ok(StartedSinks(started))
    }
}

/// The running sinks of an app.
pub(crate) struct StartedSinks(Vec<SinkHandle>);

impl StartedSinks {
    /// Flushes all sinks at the same time, for the end of the process.
    pub(crate) async fn flush(self) {
        for flushed in join_all(self.0.iter().map(SinkHandle::flush)).await {
            if let Err(error) = flushed {
                tracing::warn!(%error, "the last metrics were not sent");
            }
        }
    }
}
