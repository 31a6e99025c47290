//! Wrap a block of your app in a function, and it runs in a temporary copy of the whole app.
//!
//! ```no_run
//! use flame_aws::{App, Pool, remote};
//!
//! #[remote]
//! async fn thumbnails(video: String, every: u32) -> anyhow::Result<Vec<String>> {
//!     Ok((0..3).map(|n| format!("{video}/{}.jpg", n * every)).collect())
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     App::new().run(serve).await // a runner serves calls here, and ends
//! }
//!
//! async fn serve() -> anyhow::Result<()> {
//!     let pool = Pool::builder("thumbs").max(4).max_concurrency(2).start().await?;
//!     let here = thumbnails("cat.mp4".to_owned(), 5).await?;
//!     let there = pool.try_call(thumbnails("cat.mp4".to_owned(), 5)).await?;
//!     assert_eq!(here, there);
//!     Ok(())
//! }
//! ```
//!
//! - [`remote`] marks functions; calling one gives a [`Work`].
//! - [`App`] is the app's `main`, in the parent and in its copies.
//! - [`test`](macro@test) marks a test with real copies; see [`guide::testing`].
//! - [`Pool`] finds or boots a copy, runs the work there and brings the result back.
//! - [`backend`] is where copies come from; [`guide::backend`] shows how to write one.

// The suite's own remote functions: the macro names this crate as an app does.
#[cfg(any(test, feature = "testing"))]
extern crate self as flame_aws;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

mod admission;
mod app;
pub mod backend;
mod calls;
mod code;
mod error;
pub mod guide;
mod listener;
mod log;
mod pool;
mod remote;
mod runner;
#[cfg(feature = "testing")]
pub mod testing;

pub use app::{App, is_runner, test};
pub use backend::{BootFailure, BootFailureKind};
pub use calls::{CallStream, Child, HeldRunner};
pub use error::{AppError, BadOption, CallError, CodeSyncError, PoolError, TimeoutPhase};
pub use flame_wire::failure::RemoteError;
pub use flame_wire::ids::{BuildId, CallId, FunctionId, RunnerRef};
pub use flame_wire::parent::HostKind;
pub use flame_wire::trace::TraceContext;
pub use pool::{
    Events, Explanation, GrowReason, Idle, Lagged, LimitsChange, Placement, Pool, PoolBuilder,
    PoolEvent, RunnerState, RunnerView, ShrinkReason, Snapshot,
};
pub use remote::{
    Blob, CallContext, ChannelError, CodecError, Held, NotHere, Receiver, Sender, StreamWork, Work,
    channel, remote,
};

/// What the expansions of `#[remote]` and `#[test]` name. Not part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::app::run_test;
    pub use flame_macros::block;
    pub use flame_runner_shim::calling::__private::*;
}
