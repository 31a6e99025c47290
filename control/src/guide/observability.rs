//! Observability: metrics, costs, traces, logs, and a live page of pools.
//!
//! # Metrics
//!
//! Each backend of a pool counts its calls, boots and runners, whether or not anybody reads the
//! numbers. [`metrics`](crate::metrics) has the table of all metrics. One line of code for each
//! destination sends them:
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
//! Sinks run in the parent alone. A runner has no metrics of its own: its parent counts what
//! happens on it. When the closure of [`App::run`](crate::App::run) has returned, `run` sends the
//! metrics that were not sent yet, so drain the pools in the closure.
//!
//! | question | metric |
//! |---|---|
//! | Do calls fail? | `flame.calls`, by outcome |
//! | Do calls wait for runners? | `flame.queue.length`; `flame.call.duration`, phase `queue` |
//! | Why do boots take so long? | `flame.boot.duration`, by phase |
//! | Why do boots fail? | `flame.boot.failures`, by reason |
//! | Are runners lost? | `flame.runner.exits`, reason `lost`; `flame.runner.reconnects` |
//! | What do the runners cost? | `flame.cost.estimated` |
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
//! [`Pool::costs`](crate::Pool::costs) returns the costs of a pool,
//! [`Call::estimated_cost`](crate::Call::estimated_cost) the cost of a call, and
//! [`PoolBuilder::budget`](crate::PoolBuilder::budget) limits a pool's cost per hour. All three use an
//! estimate from a table of AWS's public prices. [`cost`](crate::cost) explains the estimate, and lists the
//! costs that it leaves out.
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
//! # Traces
//!
//! At level DEBUG, `tracing` shows these spans:
//!
//! | span | covers | fields |
//! |---|---|---|
//! | `flame.call` | a call, from its start until its result is decoded | `function`, `pool`, `traceparent` |
//! | `flame.queue` | in `flame.call`: the wait for a slot | |
//! | `flame.run` | in `flame.call`: from sending the call until its answer has arrived | `runner` |
//! | `flame.reply` | in `flame.call`: decoding the result | `bytes` |
//! | `flame.boot` | a boot: the request to the backend | `runner`, `pool` |
//! | `flame.boot.create`, `flame.boot.start` | in `flame.boot`, on Docker: creating and starting the container; on Fly: creating the machine, once for each attempt | |
//! | `flame.connect` | a boot: from the backend's answer until the runner has connected | `runner` |
//! | `flame.serve` | on the runner: the function | `function`, `call`, `traceparent` |
//!
//! Streams and children have the same spans; a cast has all but `flame.reply`. Calls that a
//! function makes belong to the trace of the call that it serves.
//!
//! ## With OpenTelemetry
//!
//! With the feature `opentelemetry`, and with a layer of
//! [`tracing-opentelemetry`](https://docs.rs/tracing-opentelemetry) in the app's subscriber, a call
//! is one trace through both processes:
//!
//! ```text
//! the app's own span ─ flame.call ┬ flame.queue
//!                                 ├ flame.boot      ┐ if the pool has grown
//!                                 ├ flame.connect   ┘ because of the call
//!                                 ├ flame.run ───────── flame.serve ─ the function's own spans
//!                                 └ flame.reply         on the runner
//! ```
//!
//! `main` sets the subscriber before [`App::run`](crate::App::run), so the runners have it as well.
//! In the repository, `examples/web/traces.rs` does this, and sends the spans of all processes by
//! OTLP. The versions have to fit: `opentelemetry` 0.33, `tracing-opentelemetry` 0.34.
//!
//! - **The context travels with the call.** The runner receives the context of `flame.run`. Code
//!   that opens a span within the function, such as a database client or an HTTP client, continues
//!   the trace. A task that the function spawns does not continue it, as with any span: spawn the
//!   task with `tracing`'s `in_current_span`.
//! - **The parent samples.** The context says whether the trace is sampled, and OpenTelemetry's
//!   default sampler, `ParentBased`, obeys it. So a runner records nothing of a trace that the
//!   parent does not sample. A parent without the layer samples nothing.
//! - **A boot serves several calls.** `flame.boot` and `flame.connect` are in the trace of the call
//!   because of which the pool grew. The `flame.queue` spans of all calls that waited for the boot
//!   have a link to `flame.boot`. A boot for which no call waits, such as one for `min`, has a
//!   trace of its own.
//! - **ECS says afterwards what a boot waited for.** Then `flame.connect` gets the children
//!   `flame.boot.provision` (until the task had a place), `flame.boot.pull` (until its image was
//!   there) and `flame.boot.start` (until its container ran). A backend of your own adds them by
//!   [`boot_times`](crate::backend::Instances::boot_times). A `tracing` span can't begin in the
//!   past, so they come from OpenTelemetry's global provider: call
//!   `opentelemetry::global::set_tracer_provider` with the provider of the layer. They appear only
//!   if the process lives until the next poll of its tasks, a few seconds after the boot.
//! - **A failed call is a failed span**: `flame.call` has the status Error, and the error's first
//!   line.
//! - **A filter may hide these spans.** With a filter at INFO for the layer, the function's spans
//!   are children of the app's own span in the parent.
//! - [`Work::trace`](crate::Work::trace) sets the parent of `flame.call`. Without it, the parent is
//!   the current span.
//! - The `tracestate` and the baggage of W3C are not passed on.
//!
//! Without the layer, each call has ids of its own, which `work.trace(..)` may set. The spans on
//! both sides have these ids in the field `traceparent`, and the pool's [events](crate::PoolEvent)
//! about the call have the same ids. With the layer, an event has the id of `flame.call`, and
//! [`CallContext::trace`](crate::CallContext::trace) on the runner has the id of `flame.run`.
//!
//! ## A runner's last spans
//!
//! A tracer provider with a batch exporter keeps spans for a few seconds. A runner exits in
//! [`App::run`](crate::App::run), and Lambda freezes it after an invocation. So flush the provider
//! in [`App::on_runner_end`](crate::App::on_runner_end):
//!
//! ```no_run
//! # async fn parent() -> Result<(), flame_aws::AppError> { Ok(()) }
//! # #[derive(Clone)]
//! # struct Provider;
//! # impl Provider {
//! #     fn force_flush(&self) {}
//! # }
//! # fn init_traces() -> Provider { Provider }
//! #[tokio::main]
//! async fn main() -> Result<(), flame_aws::AppError> {
//!     let provider = init_traces(); // an SdkTracerProvider, and the app's subscriber
//!     let of_runner = provider.clone();
//!     let app = flame_aws::App::new().on_runner_end(move || {
//!         let _ = of_runner.force_flush();
//!     });
//!     let result = app.run(parent).await;
//!     provider.force_flush(); // only a parent comes here
//!     result
//! }
//! ```
//!
//! # Logs
//!
//! The `tracing` events and the printed lines of runners appear in the parent's `tracing` log, with
//! the target `flame::runner` and the fields `pool`, `runner` and `call`. If the parent has no
//! subscriber, they appear on its standard error, as `[pool runner call] text`. Each event keeps
//! its level. The call is known
//!
//! - for an event in the function's own task or thread, but not in a task that the function spawns;
//! - for a printed line, if its runner serves a single call at that time.
//!
//! Events of a runner come in their order, and so do the lines of one stream. The variable
//! `FLAME_LOG` sets the lowest level that a runner sends, `info` by default.
//!
//! **If `main` sets a subscriber** before `App::run`, add the layer
//! [`runner_log`](crate::runner_log()), which sends a runner's events to its parent. Without that
//! layer, the parent gets the lines that the subscriber prints, and reads the level and the time
//! from each line. The parent understands the formats of `tracing_subscriber` and `env_logger`,
//! recognises panics, and removes escape sequences for colours.
//!
//! On ECS and Lambda, printed lines go to the platform's log, and only events arrive at the parent.
//!
//! ## In code
//!
//! [`pool.logs()`](crate::Pool::logs) returns the records of all runners of a pool. The handle of a
//! call has those of the call: [`call.logs()`](crate::Call::logs) of a call or a cast,
//! [`stream.logs()`](crate::CallStream::logs), and [`child.logs()`](crate::Child::logs).
//!
//! ```no_run
//! # use flame_aws::{Pool, remote};
//! # #[remote]
//! # async fn import() -> u64 { 1 }
//! # async fn example(pool: Pool) -> Result<(), flame_aws::CallError> {
//! let call = pool.call(import());
//! let mut logs = call.logs(); // from the very start of the work, because nothing has polled the call
//! let show = async {
//!     while let Some(Ok(record)) = logs.next().await {
//!         println!("{} {}", record.level, record.text);
//!     }
//! };
//! tokio::select! {
//!     rows = call => println!("{} rows", rows?),
//!     () = show => {} // the pool is gone
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The log of a call ends with the pool and not with the call, because the last lines of a call may
//! arrive after its result. Runners of [`Local`](crate::backend::Local) are not processes: they log
//! directly into the log of this process, so `logs()` has nothing of them.
//!
//! ## When the log is slow
//!
//! **A slow or stuck log stops neither the parent nor its runners**, and takes a bounded amount of
//! memory. A record that finds no room is dropped and counted. There are four such places:
//!
//! | place | room | when it is full |
//! |---|---|---|
//! | the runner's events, before its link | 1,024 events | events are dropped; the log says how many |
//! | a child's output, before the parent reads it | the pipe | the child waits, for at most one second |
//! | the parent's log | 16 MiB | lines are dropped; the log says how many |
//! | a listener, such as `pool.logs()` | 1,024 records | the listener misses the oldest, and [`Lagged`](crate::Lagged) says how many |
//!
//! [`pool.dropped_log_lines()`](crate::Pool::dropped_log_lines) returns the number of lines that
//! were dropped in the first and the third place. `pool.drain()` and the end of `App::run` wait
//! until the queued lines are written. They wait at most 5 s, and stop earlier if nothing is
//! written for 1 s.
//!
//! ## The last lines of a runner that died
//!
//! If a child process dies in its boot, or while it serves, the error has its last 20 printed
//! lines: [`BootFailure::log_tail`](crate::BootFailure::log_tail), and the reason of
//! [`RunnerLost`](crate::CallError::RunnerLost). On Lambda a failed boot has the end of the
//! invocation's log. On ECS it has the end of the task's log in CloudWatch Logs, with the feature
//! `cloudwatch-logs` and the permission `logs:GetLogEvents`.
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
//! An open page is updated at most four times a second. The page works on a phone, with a keyboard
//! and with a screen reader, in light and dark. It needs no other file and no other host. Several
//! pools share a page with `Dashboard::of`. With `Dashboard::control`, the page can also drain and
//! stop runners, as [`Pool::drain_runner`](crate::Pool::drain_runner) and
//! [`Pool::stop_runner`](crate::Pool::stop_runner) do.
//!
//! **The page has no login.** It shows names of functions, texts of errors, and lines that runners
//! printed: mount the page behind the app's own authentication. The documentation of the module
//! `dashboard` explains the risks.
//!
//! `flame-top` shows the same in a terminal. Its argument is the address of the page:
//!
//! ```console
//! $ flame-top http://127.0.0.1:3000/pools
//! ```
