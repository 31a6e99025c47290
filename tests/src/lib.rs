//! The harness of the integration tests, and the demo app whose functions they call.
//!
//! A suite is one binary whose `main` calls [`suite`]. Started by a pool, the binary is a runner.
//! Started with [`program::ENV`] set, it is a small parent of its own. Otherwise it runs its tests.
//! So the runners under test are real copies of a real app.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "an error in a test helper has to fail the test"
)]

pub mod authority;
mod bench_figures;
pub mod browser;
mod cargo_build;
pub mod demo;
pub mod docker;
pub mod emulator;
pub mod fly;
mod harness;
pub mod images;
pub mod impostor;
pub mod metrics;
pub mod otel;
mod other_build;
mod page_server;
pub mod process;
pub mod program;
pub mod proxy;
pub mod relay;
pub mod spans;
pub mod strangers;
mod temp_dir;
pub mod terminal;
pub mod tls_proxy;
mod watcher;

pub use bench_figures::save_bench_figures;
pub use cargo_build::{cargo_build, generic_runner, on_generic_runners, reaper, top};
pub use harness::{
    PoolBackend, PoolProxy, Requirement, Test, as_root, conformance, conformance_checks,
    conformance_in_both_modes, direct_and_relayed, emulated, on, pool, pool_behind_proxy,
    process_pool, requiring, run_copy, runtime, suite, suite_with, test, until,
};
pub use other_build::other_build;
pub use page_server::PageServer;
pub use temp_dir::TempDir;
pub use watcher::Watcher;
