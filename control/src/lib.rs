//! Wrap a block of your app in a function, and it runs in a temporary copy of the whole app.
//!
//! ```no_run
//! use flame_aws::{App, Pool, remote};
//!
//! #[remote]
//! async fn thumbnails(video: String, every: u32) -> anyhow::Result<Vec<String>> {
//!     Ok((0..3).map(|n| format!("{video}/{}.jpg", n * every)).collect())
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     App::new().run(serve).await // in a runner, this serves calls until the process exits
//! }
//!
//! async fn serve() -> anyhow::Result<()> {
//!     let pool = Pool::builder("thumbs").max(4).max_concurrency(2).start().await?;
//!     let here = thumbnails("cat.mp4".to_owned(), 5).await?;
//!     let there = pool.try_call(thumbnails("cat.mp4".to_owned(), 5)).await?;
//!     assert_eq!(here, there);
//!     Ok(())
//! }
//! ```
//!
//! The process that owns the pools is the *parent*. A copy that serves its calls is a *runner*: a
//! child process, a container, or on AWS a Fargate task or a Lambda invocation. A pool boots runners when calls
//! need them, and shuts them down when they are idle.
//!
//! | to | use |
//! |---|---|
//! | mark the functions that may run in a copy | [`#[remote]`](macro@remote); calling such a function gives a [`Work`] |
//! | run the same `main` in the parent and in its runners | [`App`] |
//! | run a work in a copy and get the result, a stream, or an error | [`Pool`], [`CallError`] |
//! | run a block of code in a copy without naming a function | [`call!`] |
//! | send messages to and from running work, keep a value on its runner | [`channel()`], [`Held`] |
//! | see what pools do and what they cost | [`metrics`], [`cost`], [`guide::observability`] |
//! | choose where runners run, or add another place | [`backend`], [`guide`] |
//! | test with real copies | [`#[test]`](macro@test), [`guide::testing`] |
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `docker` | [`backend::Docker`]: runners are containers of a Docker engine |
//! | `fly` | [`backend::Fly`]: runners are Fly Machines |
//! | `ecs` | [`backend::Ecs`]: runners are ECS tasks on Fargate |
//! | `lambda` | [`backend::Lambda`]: runners are invocations of a Lambda function |
//! | `code-s3` | [`CodeStore`]: with `code_sync`, runners fetch the executable from S3 |
//! | `dashboard` | [`dashboard`]: a live page of pools |
//! | `cloudwatch` | [`metrics::CloudWatch`]: metrics are sent to CloudWatch |
//! | `metrics` | [`metrics::Facade`]: metrics for Prometheus, StatsD and others, by the `metrics` crate |
//! | `cloudwatch-logs` | the last lines of an ECS task that died in its boot, in the error |
//! | `opentelemetry` | calls are traces of OpenTelemetry: see [`guide::observability`] |
//! | `testing` | [`testing`]: a conformance suite for your own backend |
//!
//! None is on by default.

#![cfg_attr(docsrs, feature(doc_cfg))]

// The suite's own remote functions name this crate as an app's functions do.
#[cfg(any(test, feature = "testing"))]
extern crate self as flame_aws;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod admission;
mod app;
pub mod backend;
mod calls;
mod code;
pub mod cost;
#[cfg(feature = "dashboard")]
pub mod dashboard;
mod error;
pub mod guide;
mod inbox;
mod listener;
mod log;
pub mod metrics;
mod pool;
mod relay;
mod remote;
mod size;
mod supervisor;
#[cfg(feature = "testing")]
pub mod testing;

pub use app::{App, is_runner, runner_log, test};
pub use backend::{BootFailure, BootFailureKind};
pub use calls::{Call, CallStream, Child, HeldRunner};
#[cfg(feature = "code-s3")]
pub use code::CodeStore;
pub use error::{
    AppError, BadOption, CallError, CodeSyncError, PoolError, TimeoutPhase, UnknownRunner,
};
pub use flame_wire::failure::RemoteError;
pub use flame_wire::ids::{CallId, InvalidRunnerRef, RunnerRef};
pub use flame_wire::parent::HostKind;
pub use flame_wire::trace::{InvalidTraceParent, TraceContext};
pub use log::{LogRecord, Logs};
pub use pool::{
    Events, Explanation, GrowReason, Idle, Lagged, LimitsChange, Placement, Pool, PoolBuilder,
    PoolEvent, RunnerState, RunnerView, ShrinkReason, Snapshot,
};
pub use relay::Relay;
pub use remote::{
    Blob, CallContext, ChannelError, CodecError, CodecPart, Held, NotHere, Receiver, Sender,
    StreamWork, Work, channel, remote,
};
pub use size::Size;

/// The names that the expansions of `#[remote]`, `call!` and `#[test]` use. Not public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::app::run_test;
    pub use flame_macros::block;
    pub use flame_runner_shim::calling::__private::*;
}
