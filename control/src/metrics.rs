//! The metrics of pools: what is measured, and where it can be sent.
//!
//! Each backend of a pool counts for itself, in atomic numbers, whether or not anybody reads them.
//! A call costs a few additions. Readings count from the start of the pool, so several readers do
//! not disturb each other, and a slow one misses nothing.
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

mod attribute;
mod histogram;
mod reading;
mod recorders;
mod registry;
mod table;
#[cfg(test)]
mod tests;

pub use attribute::{Attribute, CallOutcome};
pub(crate) use attribute::{BootPhase, CallPhase, RefusedAt, RunnerExit};
pub use histogram::HistogramReading;
#[cfg(feature = "dashboard")]
pub(crate) use reading::read_lane;
pub use reading::{Reading, ReadingValue};
pub(crate) use recorders::{LaneRecorder, PROCESS};
pub(crate) use registry::MeteredPool;
pub use registry::{Source, SourceReadings, read};
pub use table::{METRICS, Metric, MetricKind, Scope, Unit};
