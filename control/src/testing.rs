//! A conformance suite for backends. Needs the feature `testing`.
//!
//! It boots real copies through the backend under test and looks whether it does what a pool
//! relies on: see [Implementing a backend](crate::guide). What it needs to know is how to make the
//! backend; each [`Check`] makes one of its own, so they may run side by side.
//!
//! A runner is a copy of the executable that has the suite. So that needs a `main` of its own,
//! which serves where it is a runner: in `Cargo.toml` set `harness = false` for the test, and let
//! a test runner such as `libtest-mimic` run the checks.
//!
//! ```no_run
//! use flame_aws::App;
//! use flame_aws::backend::Process;
//! use flame_aws::testing::Conformance;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     App::new().run(parent).await // a runner serves here, and ends
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
//!   check ──▶ Pool ──▶ Witness ──▶ the backend under test ──▶ copies of the suite
//!               │         └─ writes down each boot, can lead one astray
//!               └─ at its end each check drains the pool, and waits until all that the
//!                  witness has seen booted is seen dead
//! ```

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::backend::Backend;

mod checks;
mod functions;
mod scene;
mod witness;

use scene::Scene;

/// Why a backend does not pass a check: what was expected, and what happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

impl Unfit {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

type Make = Arc<dyn Fn() -> Arc<dyn Backend> + Send + Sync>;

/// A backend under test, and what the suite has to know of it.
#[derive(Clone)]
#[must_use = "a suite does nothing until its checks are run"]
pub struct Conformance {
    make: Make,
    refused: Vec<(String, Make)>,
    named_elsewhere: bool,
    patience: Option<Duration>,
    listen: SocketAddr,
    advertise: Option<String>,
}

impl fmt::Debug for Conformance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conformance").finish_non_exhaustive()
    }
}

impl Conformance {
    /// The suite for the backend that `make` makes, anew for each check.
    pub fn of<B: Backend>(make: impl Fn() -> B + Send + Sync + 'static) -> Self {
        Self {
            make: erased(make),
            refused: Vec::new(),
            named_elsewhere: false,
            patience: None,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            advertise: None,
        }
    }

    /// A configuration that `init` must refuse; `what` completes "init refuses ...", which names the check. Give one for
    /// each thing that can be missing.
    ///
    /// ```no_run
    /// # use flame_aws::testing::Conformance;
    /// # use flame_aws::backend::Process as Ecs;
    /// # trait Cluster { fn cluster(self, _: &str) -> Self; }
    /// # impl Cluster for Ecs { fn cluster(self, _: &str) -> Self { self } }
    /// let suite = Conformance::of(|| Ecs::new().cluster("tests"))
    ///     .refuses("a cluster without a name", || Ecs::new().cluster(""));
    /// ```
    pub fn refuses<B: Backend>(
        mut self,
        what: impl Into<String>,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self {
        self.refused.push((what.into(), erased(make)));
        self
    }

    /// The platform names the instances, and runners can't know these names: a container whose
    /// process is `pid-1`. That both say the same is then not asked for.
    pub fn named_by_the_platform(mut self) -> Self {
        self.named_elsewhere = true;
        self
    }

    /// How long each step of a check may take. Default: the backend's `boot_timeout` and 20 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Where the suite's pools listen; see [`PoolBuilder::listen`](crate::PoolBuilder::listen).
    /// Each pool needs a port of its own: leave the port 0, or run the checks one after the other.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// What runners are told to dial; see
    /// [`PoolBuilder::advertise`](crate::PoolBuilder::advertise).
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// The checks. Run them in any order, or side by side, each in a tokio runtime.
    #[must_use]
    pub fn checks(self) -> Vec<Check> {
        let suite = Arc::new(self);
        let kind = (suite.make)().kind();
        let refusals = suite.refused.iter().enumerate().map(|(nth, (what, _))| {
            let suite = suite.clone();
            let run = move || checks::init_refuses(suite.clone(), nth).boxed();
            Check { name: format!("init_refuses_{}", snake_case(what)), run: Box::new(run) }
        });
        let others = checks::ALL.iter().filter(|check| check.is_for(kind, &suite)).map(|check| {
            let suite = suite.clone();
            let run = move || Scene::play(suite.clone(), check).boxed();
            Check { name: check.name.to_owned(), run: Box::new(run) }
        });
        refusals.chain(others).collect()
    }
}

fn snake_case(what: &str) -> String {
    what.split(|c: char| !c.is_alphanumeric()).collect::<Vec<_>>().join("_").to_lowercase()
}

fn erased<B: Backend>(make: impl Fn() -> B + Send + Sync + 'static) -> Make {
    Arc::new(move || Arc::new(make()))
}

/// One thing that a pool relies on.
pub struct Check {
    name: String,
    run: Box<dyn Fn() -> BoxFuture<'static, Result<(), Unfit>> + Send + Sync>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Check {
    /// The claim, in snake case, as a test is named.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs it, within a tokio runtime. However it ends, what it booted is stopped; if that fails,
    /// so does the check.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn run(&self) -> BoxFuture<'static, Result<(), Unfit>> {
        (self.run)()
    }
}
