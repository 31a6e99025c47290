//! The pools of tests: the backend that a test runs them on, and how their runners connect.

use flame_aws::PoolBuilder;
use flame_aws::backend::{Local, Process};

use crate::relay;

/// Where the runners of [`pool`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolBackend {
    /// Child processes that are copies of the suite.
    Process,
    /// Tasks in the suite's own process.
    Local,
}

/// How the runners of [`pool`] and [`process_pool`] connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// To the port of their pool.
    Direct,
    /// Through the relay that the tests of a suite share.
    Relay,
}

/// What a test runs its pools on.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolMode {
    pub(super) backend: PoolBackend,
    pub(super) connection: Connection,
}

impl PoolMode {
    pub(super) const DEFAULT: Self =
        Self { backend: PoolBackend::Process, connection: Connection::Direct };

    /// The word that tells the tests of a mode from those of the default mode.
    pub(super) fn name(self) -> Option<&'static str> {
        match (self.backend, self.connection) {
            (PoolBackend::Process, Connection::Direct) => None,
            (PoolBackend::Process, Connection::Relay) => Some("relay"),
            (PoolBackend::Local, Connection::Direct) => Some("local"),
            (PoolBackend::Local, Connection::Relay) => Some("local, relay"),
        }
    }
}

tokio::task_local! {
    static MODE: PoolMode;
}

/// Runs a test whose pools have this mode.
pub(super) fn in_mode(mode: PoolMode, run: impl Future<Output = ()>) -> impl Future<Output = ()> {
    MODE.scope(mode, run)
}

/// Returns a small pool of child processes, copies of the suite.
pub fn process_pool(name: &str) -> PoolBuilder {
    small_pool(name).backend(Process::new())
}

/// Returns a small pool on the backend of the test that calls this: see [`on`](crate::on).
pub fn pool(name: &str) -> PoolBuilder {
    match mode().backend {
        PoolBackend::Process => process_pool(name),
        PoolBackend::Local => small_pool(name).backend(Local::new()),
    }
}

fn small_pool(name: &str) -> PoolBuilder {
    let pool = flame_aws::Pool::builder(name).max(2).max_concurrency(4);
    match mode().connection {
        Connection::Direct => pool,
        Connection::Relay => pool.relay(relay::shared().option()),
    }
}

fn mode() -> PoolMode {
    MODE.try_with(|mode| *mode).unwrap_or(PoolMode::DEFAULT)
}
