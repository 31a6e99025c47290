//! Metrics as lines of JSON on standard output, which CloudWatch Logs turns into metrics.
//!
//! The format is CloudWatch's embedded metric format,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//! A thread writes the lines, because standard output may be a pipe that nobody reads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc as thread_channel;
use std::time::{Duration, SystemTime};

use flame_runner_shim::log_writer;
use tokio::sync::oneshot;

use super::cloudwatch_names::CloudWatchTarget;
use crate::metrics::recorders::PROCESS;
use crate::metrics::reports::{self, Report};
use crate::metrics::sink::{self, Reporter, Sink, SinkError, SinkHandle};

mod line;
#[cfg(test)]
mod tests;

use line::EmfLine;

/// How many bytes of lines may wait for standard output.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// Prints metrics to standard output in CloudWatch's embedded metric format (EMF).
///
/// Where standard output goes to CloudWatch Logs, as in a Lambda function and in an ECS task with
/// the `awslogs` driver, CloudWatch makes metrics of these lines, without a request or a permission
/// of this process. See [`metrics`](crate::metrics#in-cloudwatch) for their names.
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
/// In each period there is one line for each backend of each pool, and one for the process. A line
/// is written by a single write, and ends with a line feed. If the app itself has printed a part of
/// a line, CloudWatch Logs takes both for one line, and finds no metrics in it.
///
/// A histogram is an object with the arrays `Values` and `Counts`, and with `Min`, `Max`, `Count`
/// and `Sum`. The specification does not describe this object. OpenTelemetry's exporter for EMF,
/// with which AWS builds its agents, sends the same:
/// <https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/awsemfexporter>.
///
/// If standard output accepts nothing, up to 4 MiB of lines wait. Then the oldest are dropped and
/// counted in `flame.metrics.dropped`.
#[derive(Debug, Clone)]
#[must_use = "a sink does nothing until it is started"]
pub struct Emf {
    target: CloudWatchTarget,
    period: Duration,
}

impl Emf {
    /// A sink for the app with this name, which is the value of the dimension `App`: 1 to 1,024
    /// printable ASCII characters that do not begin with a colon.
    pub fn new(app: impl Into<String>) -> Self {
        Self { target: CloudWatchTarget::new(app.into()), period: Duration::from_secs(60) }
    }

    /// The namespace of the metrics. Default:
    /// [`CLOUDWATCH_NAMESPACE`](super::CLOUDWATCH_NAMESPACE).
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.target.namespace = namespace.into();
        self
    }

    /// How often lines are printed: at least every second. Default: 60 s, which is the resolution
    /// of CloudWatch.
    pub fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// Starts to print, as [`Sink::start`] does.
    ///
    /// # Errors
    /// [`SinkError`] if an option is wrong.
    pub async fn start(self) -> Result<SinkHandle, SinkError> {
        Sink::start(self).await
    }

    fn start_with(self, destination: Box<dyn Write + Send>) -> Result<SinkHandle, SinkError> {
        self.target.check()?;
        sink::check_period(self.period)?;
        let reporter = EmfReporter { target: self.target, output: EmfWriter::new(destination)? };
        Ok(sink::spawn(self.period, reporter))
    }
}

impl sink::sealed::Sealed for Emf {}

impl Sink for Emf {
    async fn start(self) -> Result<SinkHandle, SinkError> {
        self.start_with(Box::new(WholeLines))
    }
}

/// Writes to standard output, one line at a time.
struct WholeLines;

impl Write for WholeLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        // While the lock is held, no other thread can print into the line.
        let mut stdout = io::stdout().lock();
        stdout.write_all(line)?;
        stdout.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct EmfReporter {
    target: CloudWatchTarget,
    output: EmfWriter,
}

impl Reporter for EmfReporter {
    fn report(&mut self, reports: Vec<Report>, at: SystemTime) {
        let mut dropped = 0;
        for report in reports::with_pools(reports) {
            for line in EmfLine::of_report(&self.target, &report, at) {
                dropped += self.output.push(line);
            }
        }
        if dropped > 0 {
            PROCESS.metrics_dropped(dropped as u64);
            log_writer::event(move || {
                tracing::warn!(
                    dropped,
                    "metrics were dropped, because standard output is not read fast enough"
                );
            });
        }
    }

    async fn work(&mut self) {
        match self.output.written().await {
            (_, Ok(())) => {}
            (points, Err(error)) => {
                PROCESS.metrics_dropped(points as u64);
                log_writer::event(move || {
                    tracing::warn!(%error, "metrics can't be written to standard output");
                });
            }
        }
    }

    fn waiting(&self) -> usize {
        self.output.points()
    }
}

/// The lines that wait to be written, and the thread that writes them.
struct EmfWriter {
    waiting: VecDeque<EmfLine>,
    waiting_bytes: usize,
    /// The number of data points of the line that is being written, and the result of writing it.
    writing: Option<(usize, oneshot::Receiver<io::Result<()>>)>,
    writer: thread_channel::Sender<WriteRequest>,
}

struct WriteRequest {
    line: Vec<u8>,
    result: oneshot::Sender<io::Result<()>>,
}

impl EmfWriter {
    fn new(mut destination: Box<dyn Write + Send>) -> Result<Self, SinkError> {
        let (writer, requests) = thread_channel::channel::<WriteRequest>();
        // Nothing joins the thread, so the process can end while it is blocked.
        let thread = std::thread::Builder::new().name("flame-emf".to_owned());
        let started = thread.spawn(move || {
            for WriteRequest { line, result } in requests {
                let _ = result.send(destination.write_all(&line));
            }
        });
        started.map_err(SinkError::Thread)?;
        Ok(Self { waiting: VecDeque::new(), waiting_bytes: 0, writing: None, writer })
    }

    /// Adds a line. Returns how many data points were dropped for it.
    fn push(&mut self, line: EmfLine) -> usize {
        self.waiting_bytes += line.text.len();
        self.waiting.push_back(line);
        let mut dropped = 0;
        while self.waiting_bytes > MAX_WAITING_BYTES
            && let Some(oldest) = self.pop()
        {
            dropped += oldest.points;
        }
        dropped
    }

    fn pop(&mut self) -> Option<EmfLine> {
        let line = self.waiting.pop_front()?;
        self.waiting_bytes -= line.text.len();
        Some(line)
    }

    /// Waits until a line is written. Returns how many data points it has.
    async fn written(&mut self) -> (usize, io::Result<()>) {
        if self.writing.is_none()
            && let Some(line) = self.pop()
        {
            let (result, written) = oneshot::channel();
            self.writing = Some((line.points, written));
            // If the thread has panicked, `written` fails.
            let _ = self.writer.send(WriteRequest { line: line.text, result });
        }
        let Some((points, written)) = &mut self.writing else {
            return std::future::pending().await;
        };
        let points = *points;
        let result = written.await;
        self.writing = None;
        (points, result.unwrap_or_else(|_| Err(io::Error::other("the writing thread has ended"))))
    }

    fn points(&self) -> usize {
        let writing = self.writing.as_ref().map_or(0, |(points, _)| *points);
        self.waiting.iter().map(|line| line.points).sum::<usize>() + writing
    }
}
