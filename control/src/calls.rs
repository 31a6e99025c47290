//! The calling API: the ways in which a pool runs work, each a method of [`Pool`](crate::Pool).
//!
//! ```text
//! Work ─encode─▶ OutgoingCall ─check_out─▶ Lease ─open─▶ InFlightCall ◀─messages─ runner
//!                                            └─ guard of the call's stream: it is dropped, and
//!                                               the slot is free, when the call has ended on
//!                                               the runner too
//! ```
//!
//! `call`, `child`, `map` and `stream` are built on `outgoing` and `in_flight`; `held` offers the
//! same methods on the runner that holds a value.

mod call;
mod call_record;
mod call_trace;
mod child;
mod handle;
mod held;
mod held_stream;
mod in_flight;
mod map;
mod outgoing;
mod stream;

pub use call::Call;
pub use child::Child;
pub use held::HeldRunner;
pub use stream::CallStream;
