//! The runner's side of flame-aws, and what both sides need to name and run remote functions.
//!
//! Apps depend on `flame-aws`, which re-exports what they need from here.
//!
//! ```text
//!  before main   boot_variables   takes FLAME_PARENT and its siblings out of the environment
//!                lifeline         ties a child process to its parent
//!       │
//!       ▼
//!  runner        dialling         connects to the parent; code_sync replaces the executable
//!                serving          runs each call as one task
//!                terminator       decides when the runner ends (pure)
//!       │
//!       ├──▶ calling   the table of functions, works, values, channels, held values
//!       │    context   what a function can ask about its call
//!       │    panics    turns a function's panic into an error for the caller
//!       │    pump      joins a channel to its stream of the link, on either side
//!       │
//!       ├──▶ host      where the runner lives: a process, an ECS task, a Lambda invocation
//!       │
//!       ├──▶ otel        joins spans to OpenTelemetry's traces
//!       │
//!       └──▶ log         sends the runner's `tracing` events to the parent
//!            log_writer  writes lines to standard error from a thread of its own
//! ```
//!
//! [`calling`], [`pump`], [`otel`] and [`log_writer`] are also used by the parent, and [`build_id`]
//! by both to compare their builds.

pub mod boot_variables;
pub mod build_id;
pub mod calling;
pub mod code_sync;
pub mod context;
pub mod exit_code;
pub mod host;
pub mod lifeline;
pub mod log;
pub mod log_writer;
#[cfg_attr(not(feature = "opentelemetry"), path = "otel/absent.rs")]
pub mod otel;
pub mod panics;
pub mod pump;
pub mod runner;

pub use runner::Connect;
