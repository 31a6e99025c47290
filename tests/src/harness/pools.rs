//! The pools of tests, and the backend that a test runs them on.

use flame_aws::PoolBuilder;
use flame_aws::backend::{Local, Process};

/// Where the runners of [`pool`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolBackend {
    /// Child processes that are copies of the suite.
    Process,
    /// Tasks in the suite's own process.
    Local,
}

tokio::task_local! {
    static BACKEND: PoolBackend;
}

/// Runs a test whose [`pool`]s have this backend.
pub(super) fn on(backend: PoolBackend, run: impl Future<Output = ()>) -> impl Future<Output = ()> {
    BACKEND.scope(backend, run)
}

/// Returns a small pool of child processes, copies of the suite.
pub fn process_pool(name: &str) -> PoolBuilder {
    small_pool(name).backend(Process::new())
}

/// Returns a small pool on the backend of the test that calls this: see [`on`](crate::on).
pub fn pool(name: &str) -> PoolBuilder {
    match BACKEND.try_with(|backend| *backend).unwrap_or(PoolBackend::Process) {
        PoolBackend::Process => process_pool(name),
        PoolBackend::Local => small_pool(name).backend(Local::new()),
    }
}

fn small_pool(name: &str) -> PoolBuilder {
    flame_aws::Pool::builder(name).max(2).max_concurrency(4)
}
