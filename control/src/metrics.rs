//! The metrics of pools, and the sinks that send them.
//!
//! Each backend of a pool has atomic counters, which count whether or not anybody reads them. A
//! call costs a few additions. Readings count from the start of the pool, so several readers do not
//! disturb each other, and a slow reader misses nothing.
//!
//! ```
//! use flame_aws::Pool;
//! use flame_aws::backend::Local;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::builder("demo").backend(Local::new()).start().await?;
//! for source in flame_aws::metrics::read() {
//!     for reading in source.readings {
//!         println!("{:?} {} {:?}", source.source, reading.metric.name, reading.value);
//!     }
//! }
//! # pool.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! These are all metrics, as [`METRICS`] declares them:
//!
#![doc = include_str!("metrics/README.md")]
//!
//! # Sinks
//!
//! A [`Sink`] sends the metrics in each period. Give a sink to the app in one line:
//! `App::new().metrics(Emf::new("my-app"))`.
//!
//! | sink | sends to | needs |
//! |---|---|---|
//! | [`Emf`] | CloudWatch, by way of standard output and CloudWatch Logs | nothing |
//! | `CloudWatch` | CloudWatch, by PutMetricData | feature `cloudwatch`, a permission |
//! | `Facade` | the `metrics` crate's exporters: Prometheus, StatsD, OpenTelemetry | feature `metrics` |
//!
//! Sinks run in the parent. Runners report nothing: their parent knows all that is in the table.
//!
//! # In CloudWatch
//!
//! `CloudWatch` and [`Emf`] use the same names:
//!
//! - The namespace is [`Flame`](CLOUDWATCH_NAMESPACE), unless the sink is given another one.
//! - A metric without an attribute has the name of the table. A metric with an attribute has a name
//!   for each value: `flame.calls.ok`, `flame.calls.timeout`; see [`Metric::cloudwatch_name`].
//! - The dimensions are `App` and `Pool`, and also `App`, `Pool` and `Backend`. Without `Backend`,
//!   a value is the sum over the pool's backends. Metrics of the process have the dimension `App`
//!   alone.
//! - The value of a counter is its growth in the period, so its statistic is `Sum`. Durations have
//!   percentiles.

mod attribute;
mod histogram;
mod interval;
mod reading;
mod recorders;
mod registry;
mod reports;
mod sink;
mod table;
#[cfg(test)]
mod tests;

pub use attribute::{Attribute, CallOutcome};
pub(crate) use attribute::{BootPhase, CallPhase, RefusedAt, RunnerExit};
pub use histogram::HistogramReading;
pub(crate) use histogram::as_f64;
#[cfg(feature = "dashboard")]
pub(crate) use reading::read_lane;
pub use reading::{Reading, ReadingValue};
pub(crate) use recorders::{LaneRecorder, PROCESS};
pub(crate) use registry::MeteredPool;
pub use registry::{Source, SourceReadings, read};
pub(crate) use sink::AppSinks;
#[cfg(feature = "cloudwatch")]
pub use sink::CloudWatch;
#[cfg(feature = "metrics")]
pub use sink::Facade;
pub use sink::{CLOUDWATCH_NAMESPACE, Emf, Sink, SinkError, SinkHandle};
pub use table::{METRICS, Metric, MetricKind, Scope, Unit};
