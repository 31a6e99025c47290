//! The calling API: what can be asked of a pool.
//!
//! ```text
//! work ─encode─▶ Order ─check_out─▶ Lease ─open─▶ Stream ◀─messages─ runner
//!                                     └──────────── guard of the stream: given back when the
//!                                                   work has ended on the runner, too
//! ```

mod call;
mod child;
mod held;
mod map;
mod order;
mod stream;

pub use child::Child;
pub use held::HeldRunner;
pub use stream::CallStream;
