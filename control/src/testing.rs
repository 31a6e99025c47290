//! A conformance suite for backends. Needs the feature `testing`.
//!
//! The suite boots real copies through the backend under test, and checks every promise that a pool
//! relies on; see [the guide](crate::guide::backends). It needs a function that makes the backend.
//! Each [`Check`] makes a backend of its own, so checks can run concurrently.
//!
//! The runners are copies of the test executable. So the test needs a `main` that calls
//! [`App::run`](crate::App::run): set `harness = false` for it in `Cargo.toml`, and let a test
//! runner such as `libtest-mimic` run the checks.
//!
//! ```no_run
//! use flame_aws::App;
//! use flame_aws::backend::Process;
//! use flame_aws::testing::Conformance;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     App::new().run(parent).await // a runner serves calls here, and exits
//! }
//!
//! async fn parent() -> Result<(), Box<dyn std::error::Error>> {
//!     for check in Conformance::of(Process::new).checks() {
//!         check.run().await?;
//!         println!("{}: passed", check.name());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! ```text
//!   Check ──▶ Pool ──▶ RecordingBackend ──▶ the backend under test ──▶ copies of the test executable
//!               │         └─ records each boot, and can make a runner connect to a dead address
//!               └─ at the end, each check drains the pool and waits until every recorded instance
//!                  is dead
//! ```

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::Relay;
use crate::backend::Backend;

mod check_run;
mod checks;
mod functions;
mod recording_backend;

/// The backend under test, and what the suite has to know about it.
#[derive(Clone)]
#[must_use = "a suite does nothing until its checks are run"]
pub struct Conformance {
    make: MakeBackend,
    rejected: Vec<(String, MakeBackend)>,
    platform_assigns_ids: bool,
    step_timeout: Option<Duration>,
    listen: SocketAddr,
    advertise: Option<String>,
    relay: Option<Relay>,
}

type MakeBackend = Arc<dyn Fn() -> Arc<dyn Backend> + Send + Sync>;

impl fmt::Debug for Conformance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conformance").finish_non_exhaustive()
    }
}

impl Conformance {
    /// The suite for the backend that `make` returns. Each check calls `make` once.
    pub fn of<B: Backend>(make: impl Fn() -> B + Send + Sync + 'static) -> Self {
        Self {
            make: erase(make),
            rejected: Vec::new(),
            platform_assigns_ids: false,
            step_timeout: None,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            advertise: None,
            relay: None,
        }
    }

    /// Adds a check that [`Backend::start`] rejects a configuration. `what` completes the check's
    /// name, "start rejects ...". Add one for each setting that can be missing or wrong.
    ///
    /// ```no_run
    /// # use flame_aws::testing::Conformance;
    /// # use flame_aws::backend::Process as Ecs;
    /// # trait Cluster { fn cluster(self, _: &str) -> Self; }
    /// # impl Cluster for Ecs { fn cluster(self, _: &str) -> Self { self } }
    /// let suite = Conformance::of(|| Ecs::new().cluster("tests"))
    ///     .rejects("a cluster without a name", || Ecs::new().cluster(""));
    /// ```
    pub fn rejects<B: Backend>(
        mut self,
        what: impl Into<String>,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self {
        self.rejected.push((what.into(), erase(make)));
        self
    }

    /// Skips the check that the backend and the runner agree on the instance's id. For platforms
    /// that assign ids which a runner can't know: in a container, every runner is `pid-1`.
    pub fn platform_assigns_ids(mut self) -> Self {
        self.platform_assigns_ids = true;
        self
    }

    /// The time limit of each step of a check. Default: the backend's `boot_timeout` plus 20 s.
    pub fn step_timeout(mut self, limit: Duration) -> Self {
        self.step_timeout = Some(limit);
        self
    }

    /// The address that the suite's pools listen on; see
    /// [`PoolBuilder::listen`](crate::PoolBuilder::listen). Default: a free port of 127.0.0.1. If
    /// the port is not 0, run the checks one after the other, because pools of different runtimes
    /// can't share a port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The address that runners connect to; see
    /// [`PoolBuilder::advertise`](crate::PoolBuilder::advertise).
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// The relay through which runners connect, in place of the addresses of
    /// [`listen`](Self::listen) and [`advertise`](Self::advertise); see
    /// [`PoolBuilder::relay`](crate::PoolBuilder::relay). Default: none, also if the environment
    /// names one. A backend that works with a listener and with a relay passes the suite with both.
    pub fn relay(mut self, relay: Relay) -> Self {
        self.relay = Some(relay);
        self
    }

    /// All checks that apply to the backend. They can run in any order and concurrently, each in a
    /// tokio runtime.
    #[must_use]
    pub fn checks(self) -> Vec<Check> {
        let suite = Arc::new(self);
        let kind = (suite.make)().kind();
        let rejections = suite.rejected.iter().enumerate().map(|(nth, (what, _))| {
            let suite = suite.clone();
            let run = move || checks::start_rejects(suite.clone(), nth).boxed();
            Check { name: format!("start_rejects_{}", snake_case(what)), run: Box::new(run) }
        });
        let others = checks::ALL.iter().filter(|check| check.applies(kind, &suite)).map(|check| {
            let suite = suite.clone();
            let run = move || check.run(suite.clone()).boxed();
            Check { name: check.name.to_owned(), run: Box::new(run) }
        });
        rejections.chain(others).collect()
    }
}

fn snake_case(what: &str) -> String {
    what.split(|c: char| !c.is_alphanumeric()).collect::<Vec<_>>().join("_").to_lowercase()
}

fn erase<B: Backend>(make: impl Fn() -> B + Send + Sync + 'static) -> MakeBackend {
    Arc::new(move || Arc::new(make()))
}

/// A test of one promise that a pool relies on.
pub struct Check {
    name: String,
    run: Box<dyn Fn() -> BoxFuture<'static, Result<(), CheckFailure>> + Send + Sync>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Check {
    /// The promise, in snake case, as the name of a test.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the check. Must be called in a tokio runtime. Whether it passes or fails, it stops
    /// every instance that it has booted; if that fails, so does the check.
    ///
    /// # Errors
    /// [`CheckFailure`] if the backend breaks the promise.
    pub fn run(&self) -> BoxFuture<'static, Result<(), CheckFailure>> {
        (self.run)()
    }
}

/// Why a backend fails a [`Check`]: what the check expected, and what happened instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckFailure(String);

impl CheckFailure {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
