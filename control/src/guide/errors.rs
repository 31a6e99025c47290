//! Why a call returned no result, and what to do about it.
//!
//! A value that the function itself returns, including a `Result`, arrives unchanged. A
//! [`CallError`] says why there is no such value. Nothing is retried automatically, because only
//! the app knows whether running a function twice does harm.
//!
//! # All errors
//!
//! | error | what happened | did the function run? | what to do |
//! |---|---|---|---|
//! | `Timeout { phase: Queue }` | all slots were taken until the deadline | no | allow more time, or raise `max` |
//! | `Timeout { phase: Boot }` | no runner was up before the deadline; `boot` has the last boot failure | no | allow more time, or set `min` or `min_free_slots` |
//! | `Timeout { phase: Run }` | the function took too long and was cancelled | maybe in part | raise `work.timeout(..)` |
//! | `Timeout { phase: Reply }` | the deadline passed while the result was being sent | yes | raise `work.timeout(..)` |
//! | `BootFailed` | no runner could be booted; the error has the kind of failure, the reason, the exit code and the last lines that the instance printed | no | read the reason; a runner of another build is reported here |
//! | `RunnerLost { started: false }` | the runner was lost before the call was sent | no | call again |
//! | `RunnerLost { started: true }` | the runner was lost with the call on it | maybe in part | call again only if running twice does no harm |
//! | `Panicked` | the function panicked; the error has the message, the location and the backtrace; the runner continues | in part | fix the function |
//! | `OverBudget` | the pool has a `budget` that refuses calls, and pays for no more runners | no | call again later, or raise `budget` |
//! | `QueueFull` | `max_queue` calls are waiting already | no | call less often, or raise `max` or `max_queue` |
//! | `RunnerFull` | the runner has 65,536 calls and channels open, which is the limit | no | lower `max_concurrency`, or use fewer channels |
//! | `TooLong` | the call may take longer than the pool's runners live | no | set a shorter `work.timeout(..)`, or use another backend |
//! | `Draining` | the pool is shutting down | no | nothing |
//! | `TooLarge { started }` | the arguments or the result exceed `max_message` | as `started` says: yes if it is the result | send less, or raise `max_message` |
//! | `Codec { started }` | the arguments or the result could not be encoded or decoded | as `started` says | read the message |
//! | `MissingState` | the app has not registered a state that the function takes | no | add `App::new().state(..)` |
//! | `Cancelled` | the child was stopped, or its runner had to shut down and `shutdown_timeout` was over | maybe in part | raise `shutdown_timeout` |
//! | `DepthExceeded` | calls are nested deeper than `max_depth` | no | check whether a function calls itself without end |
//! | `UnknownFunction` | the runner does not know the function | no | check for different builds that have the same `FLAME_BUILD_ID` |
//!
//! All calls that wait for a runner get `BootFailed` when boots fail and no other runner is up or
//! booting.
//!
//! # Three questions
//!
//! | method | the question | yes for |
//! |---|---|---|
//! | `is_timeout` | Did the deadline pass? | `Timeout` |
//! | `may_have_run` | May the function have begun on a runner? | `Timeout` in phase `Run` or `Reply`, `Panicked`, `Cancelled`, and errors with `started: true` |
//! | `is_retryable` | May another call succeed, without running the function twice? | `Timeout` in phase `Queue` or `Boot`, `BootFailed` unless its kind is `Misconfigured` or `Rejected`, `RunnerLost { started: false }`, `QueueFull`, `OverBudget`, `RunnerFull` |
//!
//! The documentation of [`CallError`] has the answer for each error. The cause of a retryable error
//! may persist, so pause between attempts, and limit their number.
//!
//! # Handling errors
//!
//! ```no_run
//! use flame_aws::{CallError, Pool, remote};
//!
//! #[remote]
//! async fn charge(order: u64) -> bool {
//!     # let _ = order;
//!     true
//! }
//!
//! # async fn example(pool: Pool) -> Result<(), CallError> {
//! match pool.call(charge(7)).await {
//!     Ok(charged) => println!("charged: {charged}"),
//!     // The function has not run, so another call can't charge twice.
//!     Err(error) if error.is_retryable() => {
//!         pool.call(charge(7)).await?;
//!     }
//!     // The function may have run in part: only the app knows what to do now.
//!     Err(error) if error.may_have_run() => eprintln!("check order 7: {error}"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A function whose own error type can be made from a `CallError`, as `anyhow::Error` can, needs
//! only one `?`:
//!
//! ```no_run
//! use flame_aws::{Pool, remote};
//!
//! #[remote]
//! async fn parse(text: String) -> anyhow::Result<i64> {
//!     Ok(text.trim().parse()?)
//! }
//!
//! # async fn example(pool: Pool) -> anyhow::Result<()> {
//! let number = pool.try_call(parse("42".to_owned())).await?;
//! # let _ = number;
//! # Ok(())
//! # }
//! ```
//!
//! # Timeouts
//!
//! [`TimeoutPhase`](crate::TimeoutPhase) says where the time went. The phase tells whether the
//! function can have run, and which option helps:
//!
//! ```no_run
//! use flame_aws::{CallError, TimeoutPhase};
//!
//! fn advice(error: &CallError) -> &'static str {
//!     match error {
//!         CallError::Timeout { phase: TimeoutPhase::Queue, .. } => "raise `max`",
//!         CallError::Timeout { phase: TimeoutPhase::Boot, .. } => "keep runners up with `min`",
//!         CallError::Timeout { phase: TimeoutPhase::Run, .. } => "allow more time",
//!         CallError::Timeout { phase: TimeoutPhase::Reply, .. } => "send less, or allow more time",
//!         _ => "not a timeout",
//!     }
//! }
//! ```
//!
//! # Boot failures
//!
//! A [`BootFailure`](crate::BootFailure) has a [kind](crate::BootFailureKind) for code and a reason
//! for people. It also has everything that the backend knows about the instance: the exit code, the
//! platform's own reason, and the last lines that the instance printed. After a failed boot the
//! pool waits longer and longer before the next one; see [`boot_backoff` and
//! `boot_breaker`](super::pools#options).
//!
//! # Other errors
//!
//! | error | it comes from | what it says |
//! |---|---|---|
//! | [`PoolError`](crate::PoolError) | `start`, `resize` | which options are wrong, or what the backend lacks; every wrong option is named at once |
//! | [`UnknownRunner`](crate::UnknownRunner) | `drain_runner`, `stop_runner` | the pool has no such runner |
//! | [`AppError`](crate::AppError) | [`App::run`](crate::App::run) | a state is missing or was given twice, or the process was started as a runner and can't be one |
//! | [`ChannelError`](crate::ChannelError) | `send`, `recv` | the channel is closed, or the other end was lost |
//! | [`NotHere`](crate::NotHere) | [`Held::get`](crate::Held::get) | the value lives on a runner |
//! | [`Lagged`](crate::Lagged) | [`Events::next`](crate::Events::next) | the reader was too slow, and missed events |
//!
//! [`CallError`]: crate::CallError
