//! The harness of the integration tests, and the remote functions that they call.
//!
//! A suite is one binary whose [`main`](suite) is that of an app: started by a pool it is a
//! runner, started with [`program::ENV`] it is a small parent of its own, else it runs its tests.
//! So the copies are real copies.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what goes wrong in a helper of a test fails the test"
)]

pub mod browser;
pub mod demo;
pub mod early;
pub mod emulator;
pub mod front;
mod harness;
pub mod impostor;
pub mod mischief;
mod other_build;
pub mod process;
pub mod program;
pub mod proxy;
pub mod spans;
mod temporary;
pub mod terminal;
pub mod values;
mod watcher;

// Every suite has its function in the table, as an app has those of its dependencies.
use dependency as _;
pub use harness::{
    Backend, Needs, Test, as_root, emulated, needing, on, pool, process_pool, runtime, suite,
    suite_with, test, trial, unless_tests_run_here, until,
};
pub use other_build::other_build;
pub use temporary::Folder;
pub use watcher::Watcher;
