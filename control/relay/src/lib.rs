//! A relay for `flame-aws`: it connects parents and runners that can't reach each other.
//!
//! ```text
//!   parent ── /v1/parent, /v1/socket/TICKET ──▶ relay ◀── /v1/runner/REF ── runner
//! ```
//!
//! The relay forwards WebSocket messages between a runner's socket and the socket that the runner's
//! parent opens for it. The messages are encrypted between the two, so the relay can't read them.
//! The protocol is in `flame_wire::relay`.
//!
//! [`core`] decides which runner is paired with which socket, without I/O. [`Relay`] is the server
//! around it. The binary reads a [`Config`](config::Config) from flags and environment
//! ([`config::args`]).

pub mod config;
pub mod core;
pub mod ecs;
mod file;
pub mod keys;
mod metrics;
pub mod open_files;
mod page;
mod pair;
pub mod request;
mod server;
mod socket;
mod tls;
mod totals;

pub use file::{KeyFile, KeyFileError};
pub use pair::PairLimits;
#[cfg(fuzzing)]
pub use pair::fuzzing;
pub use server::{Relay, StartError, Stopper};
#[doc(hidden)]
pub use socket::ByteStream;
pub use tls::{TlsFilesError, TlsPaths};
