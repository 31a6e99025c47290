//! The pools of tests: the backend that a test runs them on, and how their runners connect.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use flame_aws::PoolBuilder;
use flame_aws::backend::{Local, Process};
use libtest_mimic::Trial;

use crate::{docker, fly, relay};

/// The backend from which the runners of [`pool`] come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolBackend {
    /// Child processes that are copies of the suite.
    Process,
    /// Tasks in the suite's own process.
    Local,
    /// Containers of an engine.
    Docker,
    /// Machines of a stand-in for Fly, which connect over IPv6.
    Fly,
}

/// How the runners of a test connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// To the port of their pool.
    Direct,
    /// Through the relay that the tests of a suite share.
    Relay,
}

/// The backend and the connection with which a test runs its pools.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolMode {
    pub(super) backend: PoolBackend,
    pub(super) connection: Connection,
}

impl PoolMode {
    pub(super) const DEFAULT: Self =
        Self { backend: PoolBackend::Process, connection: Connection::Direct };

    /// Adds the word that tells the tests of a mode from those of the default mode.
    pub(super) fn mark(self, trial: Trial) -> Trial {
        match (self.backend, self.connection) {
            (PoolBackend::Process, Connection::Direct) => trial,
            (PoolBackend::Process, Connection::Relay) => trial.with_kind("relay"),
            (PoolBackend::Local, Connection::Direct) => trial.with_kind("local"),
            (PoolBackend::Local, Connection::Relay) => trial.with_kind("local, relay"),
            (PoolBackend::Docker, Connection::Direct) => trial.with_kind("docker"),
            (PoolBackend::Docker, Connection::Relay) => trial.with_kind("docker, relay"),
            (PoolBackend::Fly, Connection::Direct) => trial.with_kind("fly"),
            (PoolBackend::Fly, Connection::Relay) => trial.with_kind("fly, relay"),
        }
    }
}

tokio::task_local! {
    static MODE: PoolMode;
}

/// Runs a test whose pools have this mode.
pub(super) fn in_mode<T>(mode: PoolMode, run: impl Future<Output = T>) -> impl Future<Output = T> {
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
        PoolBackend::Docker => docker_pool(name),
        PoolBackend::Fly => fly_pool(name),
    }
}

fn docker_pool(name: &str) -> PoolBuilder {
    let (pool, backend) = (small_pool(name), docker::shared().backend());
    if is_relayed() {
        // The relay listens on 127.0.0.1.
        return pool.backend(backend.network("host").build());
    }
    pool.listen((Ipv4Addr::UNSPECIFIED, 0).into()).backend(backend.build())
}

fn fly_pool(name: &str) -> PoolBuilder {
    let pool = small_pool(name).backend(fly::shared().suite_app().backend().build());
    // At its end the suite waits for the runners of pools whose runtime has ended.
    let pool = pool.reconnect_timeout(Duration::from_secs(5));
    if is_relayed() { pool } else { pool.listen((Ipv6Addr::LOCALHOST, 0).into()) }
}

fn small_pool(name: &str) -> PoolBuilder {
    let pool = flame_aws::Pool::builder(name).max(2).max_concurrency(4);
    if is_relayed() { through_shared_relay(pool) } else { pool }
}

/// Makes the runners of a pool connect through the relay that the tests of this suite share.
pub(crate) fn through_shared_relay(pool: PoolBuilder) -> PoolBuilder {
    pool.relay(relay::shared().option())
}

/// Returns whether the runners of the test that calls this connect through a relay.
pub(crate) fn is_relayed() -> bool {
    mode().connection == Connection::Relay
}

/// Returns the variables that make the pools of another process connect as the pools of the test
/// that calls this do.
pub(crate) fn connection_variables() -> Vec<(&'static str, String)> {
    if is_relayed() { relay::shared().variables().to_vec() } else { Vec::new() }
}

fn mode() -> PoolMode {
    MODE.try_with(|mode| *mode).unwrap_or(PoolMode::DEFAULT)
}
