//! The runner's side of flame-aws, and what both sides need to name and run functions.
//!
//! An app does not use this crate by itself: `flame-aws` does, and re-exports what an app needs.
//!
//! - [`calling`]: remote functions, works, channels, held values.
//! - [`runner`]: one runner's life; [`terminator`] decides it, [`host`] ends it.
//! - [`code_sync`]: a runner of another build becomes its parent's executable.
//! - [`started`]: the variables that make a process a runner, taken out of its environment.
//! - [`build_id`], [`lifeline`], [`log`], [`panics`]: what makes a copy of the app a good child.
//! - [`lines`]: what is written to standard error, or to the app's subscriber, by a thread of its own.

pub mod build_id;
pub mod calling;
pub mod code_sync;
pub mod context;
mod dialling;
mod holds;
pub mod host;
pub mod lifeline;
pub mod lines;
pub mod log;
pub mod panics;
pub mod pump;
pub mod runner;
mod serving;
pub mod started;
mod starvation;
mod tails;
pub mod terminator;

pub use dialling::Connect;
