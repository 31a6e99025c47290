//! The errors of the public API: one enum for each operation. Each error says what happened, where,
//! and what to do.

mod app;
mod call;
mod pool;

pub use app::AppError;
pub use call::{CallError, TimeoutPhase};
pub use pool::{BadOption, CodeSyncError, PoolError, UnknownRunner};

/// An error of a crate below this one. Users read its text and its sources, and don't match on it.
type InnerError = Box<dyn std::error::Error + Send + Sync>;
