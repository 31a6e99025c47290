//! What a check plays on: a pool over the backend under test, and the clearing up after it.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::checks::Known;
use super::witness::{Boot, Witness};
use super::{Conformance, Unfit};
use crate::backend::{Death, Instance};
use crate::{Idle, Pool, PoolBuilder, PoolError};

/// Beyond the backend's boot timeout: how long a step may take where nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long calls may go on when a check's pool is drained.
const SHUTDOWN: Duration = Duration::from_secs(1);
/// Longer than any check.
const NO_SECOND_TRY: Duration = Duration::from_secs(3600);

pub(super) struct Scene {
    pub(super) witness: Witness,
    pub(super) suite: Arc<Conformance>,
    patience: Duration,
}

impl Scene {
    pub(super) fn new(suite: Arc<Conformance>, witness: Witness) -> Self {
        use crate::backend::Backend as _;
        let patience = suite.patience.unwrap_or_else(|| witness.boot_timeout() + PATIENCE);
        Self { witness, suite, patience }
    }

    /// Plays a check, and clears up whatever comes of it.
    pub(super) async fn play(suite: Arc<Conformance>, check: &'static Known) -> Result<(), Unfit> {
        let witness = Witness::of((suite.make)());
        let scene = Scene::new(suite, witness);
        let played = (check.run)(&scene).await;
        let cleared = scene.clear().await;
        played.and(cleared)
    }

    /// A pool over the backend. A boot that fails is not tried again: it is what is to be told.
    pub(super) fn pool(&self) -> PoolBuilder {
        let pool = Pool::builder("conformance")
            .max(1)
            .timeout(self.patience)
            .shutdown_timeout(SHUTDOWN)
            .idle_shutdown_after(Idle::Never)
            .boot_breaker(1, NO_SECOND_TRY)
            .listen(self.suite.listen)
            .backend(self.witness.clone());
        match &self.suite.advertise {
            Some(address) => pool.advertise(address),
            None => pool,
        }
    }

    pub(super) async fn start(&self, pool: PoolBuilder) -> Result<Pool, Unfit> {
        let started = self.within("the pool's start, and with it `init`,", pool.start()).await?;
        started.map_err(|error| Unfit::new(format!("the pool did not start: {}", whole(&error))))
    }

    /// Waits for a step, with patience.
    pub(super) async fn within<T>(
        &self,
        what: &str,
        step: impl Future<Output = T>,
    ) -> Result<T, Unfit> {
        let patience = self.patience;
        let late = || Unfit::new(format!("{what} took longer than {patience:?}"));
        timeout(patience, step).await.map_err(|_| late())
    }

    /// The first instance that the pool has booted.
    pub(super) async fn first_boot(&self) -> Result<Boot, Unfit> {
        let boot = self.within("`remote_boot`", self.witness.first_boot()).await?;
        boot.ok_or_else(|| Unfit::new("nothing was booted"))
    }

    /// Stops an instance behind the pool's back.
    pub(super) async fn stop(&self, instance: &Instance) -> Result<(), Unfit> {
        let stopped = self.within("`stop`", self.witness.backend().stop(instance)).await?;
        stopped.map_err(|error| Unfit::new(format!("`stop` of {instance} failed: {error}")))
    }

    /// Waits until an instance is dead.
    pub(super) async fn death(&self, instance: &Instance) -> Result<Death, Unfit> {
        let what = format!("`watch` of {instance}, which has ended,");
        let death = self.within(&what, self.witness.backend().watch(instance)).await?;
        expect(!death.reason.trim().is_empty(), || {
            format!("`watch` of {instance} gives no reason for its death")
        })?;
        Ok(death)
    }

    /// Drains the pool: of what it has booted, nothing lives after it.
    pub(super) async fn drain(&self, pool: Pool) -> Result<(), Unfit> {
        self.within("draining the pool", pool.drain()).await?;
        self.all_dead().await
    }

    /// Waits until all that was booted is dead.
    pub(super) async fn all_dead(&self) -> Result<(), Unfit> {
        for Boot { instance, .. } in self.witness.boots() {
            self.death(&instance).await?;
        }
        Ok(())
    }

    /// Stops whatever a check has left behind.
    async fn clear(&self) -> Result<(), Unfit> {
        let mut cleared = Ok(());
        for Boot { instance, .. } in self.witness.boots() {
            let stopped = self.stop(&instance).await;
            let dead = self.death(&instance).await.map(|_| ());
            cleared = cleared.and(stopped).and(dead);
        }
        cleared
    }
}

pub(super) fn expect(so: bool, else_say: impl FnOnce() -> String) -> Result<(), Unfit> {
    if so { Ok(()) } else { Err(Unfit::new(else_say())) }
}

/// A result that a check needs.
pub(super) fn needed<T>(what: &str, result: Result<T, impl Display>) -> Result<T, Unfit> {
    result.map_err(|error| Unfit::new(format!("{what}: {error}")))
}

/// What the backend itself says, where it is behind the error.
pub(super) fn whole(error: &PoolError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
