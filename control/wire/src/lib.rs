//! The protocol between a parent and its runners.
//!
//! Everything here is pure: no clock (`now` is an argument), no task, no socket. Every decoder
//! accepts arbitrary bytes and returns a typed error, without panicking and within bounded memory.
//!
//! From the socket up: [`hello`] authenticates the runner; [`packet`] and [`session`] deliver
//! frames exactly once over any number of sockets; [`frame`] and [`mux`] let many streams share the
//! link; [`call`] and [`message`] define the messages on the streams.

pub mod entropy;
pub mod error;
pub mod frame;
pub mod mux;
pub mod packet;
pub mod session;

pub mod backoff;
pub mod body;
pub mod call;
pub mod code;
pub mod failure;
pub mod hello;
pub mod hex;
pub mod ids;
pub mod message;
mod pack;
pub mod parent;
mod prefixed;
pub mod relay;
pub mod sync;
#[cfg(test)]
mod testing;
mod text;
pub mod time;
pub mod token;
pub mod trace;

pub use body::{Body, BodyWriter, MessageParts, Value};
pub use call::CallHeader;
pub use error::{DecodeError, EncodeError};
pub use failure::{CallFailure, RemoteError};
pub use ids::{BuildId, CallId, FunctionId, RunnerRef};
pub use parent::FlameParent;
pub use token::{Token, TokenHash};
pub use trace::TraceContext;
