//! One run of a check: a pool over the backend under test, and the clean-up at the end.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::recording_backend::{RecordedBoot, RecordingBackend};
use super::{CheckFailure, Conformance};
use crate::backend::{Backend, Death, Instance, Instances};
use crate::{Idle, Pool, PoolBuilder, PoolError};

/// The default time limit of a step, beyond the backend's boot timeout.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// How long calls may go on when a check's pool is drained.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after a failed boot: longer than any check.
const NO_SECOND_BOOT: Duration = Duration::from_secs(3600);

pub(super) struct CheckRun {
    pub(super) backend: RecordingBackend,
    suite: Arc<Conformance>,
    step_timeout: Duration,
}

impl CheckRun {
    pub(super) fn new(suite: Arc<Conformance>, backend: Arc<dyn Backend>) -> Self {
        let backend = RecordingBackend::new(backend);
        let step_timeout =
            suite.step_timeout.unwrap_or_else(|| backend.boot_timeout() + STEP_TIMEOUT);
        Self { backend, suite, step_timeout }
    }

    /// A pool over the backend. It does not retry a boot that fails: the check reports the failure.
    pub(super) fn pool(&self) -> PoolBuilder {
        let pool = Pool::builder("conformance")
            .max(1)
            .timeout(self.step_timeout)
            .shutdown_timeout(SHUTDOWN_TIMEOUT)
            .idle_shutdown_after(Idle::Never)
            .boot_breaker(1, NO_SECOND_BOOT)
            .backend(self.backend.clone());
        let Conformance { listen, advertise, relay, .. } = &*self.suite;
        match (relay, advertise) {
            (Some(relay), _) => pool.relay(relay.clone()),
            (None, Some(address)) => pool.listen(*listen).advertise(address),
            (None, None) => pool.listen(*listen),
        }
    }

    pub(super) async fn start(&self, pool: PoolBuilder) -> Result<Pool, CheckFailure> {
        let started = self.within("`start`", pool.start()).await?;
        started.map_err(|error| {
            CheckFailure::new(format!("the pool did not start: {}", with_source(&error)))
        })
    }

    /// Waits for a step; the check fails if the step takes too long.
    pub(super) async fn within<T>(
        &self,
        what: &str,
        step: impl Future<Output = T>,
    ) -> Result<T, CheckFailure> {
        let limit = self.step_timeout;
        let late = || CheckFailure::new(format!("{what} did not complete within {limit:?}"));
        timeout(limit, step).await.map_err(|_| late())
    }

    /// The first instance that the pool has booted.
    pub(super) async fn first_boot(&self) -> Result<RecordedBoot, CheckFailure> {
        let boot = self.within("`remote_boot`", self.backend.first_boot()).await?;
        boot.ok_or_else(|| CheckFailure::new("the pool booted no instance"))
    }

    /// The backend's instances, to use them without the pool's knowledge.
    pub(super) fn instances(&self) -> Result<Arc<dyn Instances>, CheckFailure> {
        self.backend.instances().ok_or_else(|| CheckFailure::new("the pool did not call `start`"))
    }

    /// Stops an instance without the pool's knowledge.
    pub(super) async fn stop(&self, instance: &Instance) -> Result<(), CheckFailure> {
        let instances = self.instances()?;
        let what = format!("`stop` of {instance}");
        let stopped = self.within(&what, instances.stop(instance)).await?;
        stopped.map_err(|error| CheckFailure::new(format!("`stop` of {instance} failed: {error}")))
    }

    /// Waits until an instance, which has ended or was stopped, is reported dead.
    pub(super) async fn death(&self, instance: &Instance) -> Result<Death, CheckFailure> {
        let what = format!("`watch` of {instance}, which should be dead by now,");
        let death = self.within(&what, self.instances()?.watch(instance)).await?;
        expect(!death.reason.trim().is_empty(), || {
            format!("`watch` of {instance} completed with an empty `Death::reason`")
        })?;
        Ok(death)
    }

    /// Drains the pool, and waits until every instance that it has booted is dead.
    pub(super) async fn drain(&self, pool: Pool) -> Result<(), CheckFailure> {
        self.within("draining the pool", pool.drain()).await?;
        self.all_dead().await
    }

    /// Waits until every instance that was booted is dead.
    pub(super) async fn all_dead(&self) -> Result<(), CheckFailure> {
        for RecordedBoot { instance, .. } in self.backend.boots() {
            self.death(&instance).await?;
        }
        Ok(())
    }

    /// Stops every instance that is left.
    pub(super) async fn clean_up(&self) -> Result<(), CheckFailure> {
        let mut cleaned_up = Ok(());
        for RecordedBoot { instance, .. } in self.backend.boots() {
            let stopped = self.stop(&instance).await;
            let dead = self.death(&instance).await.map(|_| ());
            cleaned_up = cleaned_up.and(stopped).and(dead);
        }
        cleaned_up
    }
}

pub(super) fn expect(holds: bool, message: impl FnOnce() -> String) -> Result<(), CheckFailure> {
    if holds { Ok(()) } else { Err(CheckFailure::new(message())) }
}

/// The value of a result, or a failure that says which step failed.
pub(super) fn succeeded<T>(step: &str, result: Result<T, impl Display>) -> Result<T, CheckFailure> {
    result.map_err(|error| CheckFailure::new(format!("{step} failed: {error}")))
}

/// The error with its source, which is the backend's own message.
pub(super) fn with_source(error: &PoolError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
