//! What crosses between a parent and its runners.
//!
//! Everything here is pure: no clock (`now` is an argument), no task, no socket. Every decoder
//! takes arbitrary bytes and gives a typed error, without panic and within bounded memory.
//!
//! From the socket up: [`hello`] proves who dials; [`packet`] and [`session`] make frames arrive
//! exactly once over any number of sockets; [`frame`] and [`mux`] let many streams share the
//! link; [`call`] and [`message`] are what the streams carry.

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
pub mod sync;
#[cfg(test)]
mod testing;
mod text;
pub mod time;
pub mod token;
pub mod trace;

pub use body::{Body, BodyWriter, Parts, Value};
pub use call::CallHeader;
pub use error::{DecodeError, EncodeError};
pub use failure::{Failure, RemoteError};
pub use ids::{BuildId, CallId, FunctionId, RunnerRef};
pub use parent::FlameParent;
pub use token::{Token, TokenHash};
pub use trace::TraceContext;
