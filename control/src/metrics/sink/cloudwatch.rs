//! Metrics for CloudWatch, by PutMetricData.
//!
//! ```text
//! datum.rs    the reports of a period as data of the API        batches.rs  what to send, and when
//! client.rs   the request, without the SDK's types
//! ```

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use flame_runner_shim::log_writer;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::cloudwatch_names::CloudWatchTarget;
use crate::backend::aws::api_error::ApiError;
use crate::metrics::recorders::PROCESS;
use crate::metrics::reports::{self, Report};
use crate::metrics::sink::{self, Reporter, Sink, SinkError, SinkHandle};

mod batches;
mod client;
mod datum;

use batches::{BatchLimits, Batches};
use client::Client;

/// Sends metrics to CloudWatch.
///
/// Needs the feature `cloudwatch` and the permission `cloudwatch:PutMetricData`. See
/// [`metrics`](crate::metrics#in-cloudwatch) for the names of the metrics.
///
/// ```no_run
/// use flame_aws::App;
/// use flame_aws::metrics::CloudWatch;
///
/// # async fn serve() -> Result<(), flame_aws::AppError> { Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), flame_aws::AppError> {
/// App::new().metrics(CloudWatch::new("my-app")).run(serve).await
/// # }
/// ```
///
/// # Failures
/// - Requests that are throttled are repeated, after pauses that grow to 30 s. Data that wait keep
///   the time of their period.
/// - A request without an answer is repeated. If CloudWatch has received its data, they count
///   twice.
/// - While requests are denied, or credentials are missing, a warning in the log says so, and the
///   data wait.
/// - Data that CloudWatch rejects as invalid are dropped.
/// - Up to 4 MiB of data wait. Then the oldest are dropped. Data that are dropped are counted in
///   `flame.metrics.dropped`, and a warning is in the log.
///
/// # Cost
/// CloudWatch charges for each combination of a name and dimensions in each hour in which it
/// receives data (<https://aws.amazon.com/cloudwatch/pricing/>). A counter or a histogram is sent
/// only if something has happened in it.
#[derive(Debug, Clone)]
#[must_use = "a sink does nothing until it is started"]
pub struct CloudWatch {
    target: CloudWatchTarget,
    period: Duration,
    region: Option<String>,
    sdk: Option<SdkConfig>,
}

impl CloudWatch {
    /// A sink for the app with this name, which is the value of the dimension `App`: 1 to 1,024
    /// printable ASCII characters that do not begin with a colon.
    pub fn new(app: impl Into<String>) -> Self {
        let target = CloudWatchTarget::new(app.into());
        Self { target, period: Duration::from_secs(60), region: None, sdk: None }
    }

    /// The namespace of the metrics. Default:
    /// [`CLOUDWATCH_NAMESPACE`](super::CLOUDWATCH_NAMESPACE).
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.target.namespace = namespace.into();
        self
    }

    /// How often metrics are sent: at least every second. Default: 60 s, which is the resolution of
    /// CloudWatch.
    pub fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// The region. Default: that of the AWS SDK, such as `AWS_REGION`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// A configuration of the AWS SDK. Default: the one that the SDK finds in the environment.
    pub fn sdk_config(mut self, config: SdkConfig) -> Self {
        self.sdk = Some(config);
        self
    }

    /// Starts to send metrics, as [`Sink::start`] does.
    ///
    /// # Errors
    /// [`SinkError`] if an option is wrong, if there is no region, or if the process trusts no root
    /// certificate.
    pub async fn start(self) -> Result<SinkHandle, SinkError> {
        Sink::start(self).await
    }
}

impl sink::sealed::Sealed for CloudWatch {}

impl Sink for CloudWatch {
    async fn start(self) -> Result<SinkHandle, SinkError> {
        self.target.check()?;
        sink::check_period(self.period)?;
        let client = Client::open(self.sdk, self.region, self.target.namespace.clone()).await;
        let client = client.map_err(SinkError::CloudWatch)?;
        let target = self.target;
        let reporter = CloudWatchReporter {
            target,
            client,
            batches: Batches::new(BatchLimits::OF_API),
            request: None,
        };
        Ok(sink::spawn(self.period, reporter))
    }
}

struct CloudWatchReporter {
    target: CloudWatchTarget,
    client: Client,
    batches: Batches,
    request: Option<BoxFuture<'static, Result<(), ApiError>>>,
}

impl Reporter for CloudWatchReporter {
    fn report(&mut self, reports: Vec<Report>, at: SystemTime) {
        let reports = reports::with_pools(reports);
        let data = reports.iter().flat_map(|report| datum::data(&self.target, report, at));
        let dropped = self.batches.accept(data.collect());
        note_dropped(dropped, "they could not be sent for too long");
    }

    async fn work(&mut self) {
        if self.request.is_none()
            && let Some(batch) = self.batches.next(now())
        {
            self.request = Some(Box::pin(self.client.put(batch)));
        }
        let Some(request) = &mut self.request else {
            match self.batches.retry_at() {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
            return;
        };
        let answer = request.await;
        self.request = None;
        let outcome = client::outcome(&answer);
        let is_news = self.batches.is_news(outcome);
        let rejected = self.batches.answered(now(), outcome, rand::random());
        if let Err(error) = answer
            && (is_news || rejected > 0)
        {
            let advice = client::advice(&error);
            log_writer::event(move || {
                tracing::warn!(%error, advice, "a request with metrics to CloudWatch failed");
            });
        }
        note_dropped(rejected, "CloudWatch rejects them");
    }

    fn waiting(&self) -> usize {
        self.batches.len()
    }

    fn is_blocked(&self) -> bool {
        self.batches.is_blocked()
    }

    fn unblock(&mut self) {
        self.batches.unblock();
    }
}

/// Counts data points that were dropped, and says so in the log.
fn note_dropped(dropped: usize, why: &'static str) {
    if dropped > 0 {
        PROCESS.metrics_dropped(dropped as u64);
        log_writer::event(move || tracing::warn!(dropped, why, "metrics were dropped"));
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
