//! The guide. One page for each question:
//!
//! - [`calls`]: how to write remote functions, and how to call them.
//! - [`pools`]: options, growth, signals, and environment variables.
//! - [`observability`]: metrics, costs, traces, logs, and a live page.
//! - [`errors`]: every error, whether the function ran, and what to do.
//! - [`aws`]: runners on ECS and Lambda.
//! - [`security`]: who may connect, and what to keep secret.
//! - [`from_flame`]: from Elixir's FLAME to this crate.
//! - [`testing`]: tests of code that uses pools.
//! - [`backends`]: how to write a backend.

pub mod aws;
pub mod backends;
pub mod calls;
pub mod errors;
pub mod from_flame;
pub mod observability;
pub mod pools;
pub mod security;
pub mod testing;
