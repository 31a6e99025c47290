//! Observability: what pools do, what it costs, and how to see it.
//!
//! # Metrics
//!
//! Each backend of a pool counts its calls, boots and runners, whether or not anybody reads the
//! numbers. [`metrics`](crate::metrics) has the table of all metrics. Choose where they are sent, in
//! one line for each place:
//!
#![cfg_attr(all(feature = "cloudwatch", feature = "metrics"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "cloudwatch", feature = "metrics")), doc = "```ignore")]
//! use flame_aws::App;
//! use flame_aws::metrics::{CloudWatch, Emf, Facade};
//!
//! # async fn serve() -> Result<(), flame_aws::AppError> { Ok(()) }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), flame_aws::AppError> {
//! App::new()
//!     .metrics(CloudWatch::new("my-app")) // by PutMetricData
//!     .metrics(Emf::new("my-app")) // or: lines on standard output, which CloudWatch Logs reads
//!     .metrics(Facade::new()) // or: the `metrics` crate, for Prometheus, StatsD, OpenTelemetry
//!     .run(serve)
//!     .await
//! # }
//! ```
//!
//! Sinks run in the parent alone. A runner has no metrics of its own: its parent counts what happens
//! on it. When the closure of [`App::run`](crate::App::run) has returned, `run` sends the rest, so
//! drain the pools in the closure.
//!
//! | question | metric |
//! |---|---|
//! | Do calls fail? | `flame.calls`, by outcome |
//! | Do calls wait for runners? | `flame.queue.length`; `flame.call.duration`, phase `queue` |
//! | Why do boots take so long? | `flame.boot.duration`, by phase |
//! | Why do boots fail? | `flame.boot.failures`, by reason |
//! | Are runners lost? | `flame.runner.exits`, reason `lost`; `flame.runner.reconnects` |
//! | What does it cost? | `flame.cost.estimated` |
//!
//! Choose [`Emf`](crate::metrics::Emf) where standard output goes to CloudWatch Logs, as on ECS and
//! Lambda. It needs no permission, and a lost network loses no data. Choose `CloudWatch` elsewhere, or
//! where standard output has another purpose. Both use the same names, so dashboards and alarms are
//! the same. To read the numbers yourself, call [`metrics::read`](crate::metrics::read).
//!
//! `CloudWatch` needs this permission in the parent. The namespace is that of the sink:
//!
//! ```json
//! {
//!   "Effect": "Allow",
//!   "Action": "cloudwatch:PutMetricData",
//!   "Resource": "*",
//!   "Condition": { "StringEquals": { "cloudwatch:namespace": "Flame" } }
//! }
//! ```
//!
//! # Costs
//!
//! [`Pool::costs`](crate::Pool::costs) says what a pool costs, and
//! [`PoolBuilder::budget`](crate::PoolBuilder::budget) limits what it may cost per hour. Both are
//! estimates from a table of AWS's public prices: see [`cost`](crate::cost), which also says what the
//! estimate leaves out.
//!
//! ```no_run
//! # async fn example() -> Result<(), flame_aws::PoolError> {
//! use flame_aws::Pool;
//! use flame_aws::cost::Budget;
//!
//! // At most two dollars per hour. Calls that would need more runners fail instead of waiting.
//! let pool = Pool::builder("thumbs").max(50).budget(Budget::per_hour(2.0).refuse()).start().await?;
//! println!("{}", pool.costs());
//! # Ok(())
//! # }
//! ```
//!
//! # A live page
//!
//! With the feature `dashboard`, [`Pool::dashboard`](crate::Pool::dashboard) gives a page as an axum
//! router, which an app mounts where it likes:
//!
//! ```text
//! let app = Router::new().nest("/pools", pool.dashboard().into_router());
//! ```
//!
//! The page shows:
//!
//! - each runner with its state, its slots, its age and its instance, and on ECS a link to the task in
//!   the AWS console;
//! - the calls that wait and run, and the last 100 calls with their phases on one axis of time: queue,
//!   boot of the call's runner, run, reply;
//! - the last 20 errors, with the last lines that a runner printed if its boot failed;
//! - the last 100 events of the pool as sentences, and what
//!   [`Pool::explain`](crate::Pool::explain) says;
//! - the durations of calls and boots, and the totals, which are those of
//!   [`metrics`](crate::metrics).
//!
//! It is updated while it is open, at most four times a second. It works on a phone, with a keyboard
//! and with a screen reader, in light and dark, and needs no other file and no other host. Several
//! pools share a page with `Dashboard::of`. With `Dashboard::control`, the page can also drain and
//! stop runners, as [`Pool::drain_runner`](crate::Pool::drain_runner) and
//! [`Pool::stop_runner`](crate::Pool::stop_runner) do.
//!
//! **The page has no login.** It shows names of functions, texts of errors, and what runners printed:
//! mount it behind the app's own authentication. The module `dashboard` says more about that.
//!
//! `flame-top` shows the same in a terminal. Its argument is the address of the page:
//!
//! ```console
//! $ flame-top http://127.0.0.1:3000/pools
//! ```
