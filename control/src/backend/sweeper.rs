//! The search for orphans that a pool repeats as long as it lives, on a platform on which a parent
//! has a [`Place`]: drives the [`Sweep`].

use std::collections::HashMap;
use std::time::Duration;

use flame_runner_shim::log_writer;
use tokio::time::Instant;

use super::owner::Owner;
use super::place::{self, Place};
use super::sweep::{
    Listed, ParentStatus, RUNNER_TAG, Rule, Scan, Sweep, unix_now, until_next_scan,
};
use super::{BackendError, PoolInfo};

/// A platform, as the search uses it.
pub(super) trait Platform: Send + Sync {
    type Instance: Listed + Send + Sync;

    /// The instances of all pools of this pool's name.
    fn list(&self) -> impl Future<Output = Result<Vec<Self::Instance>, BackendError>> + Send;
    /// Whether this pool boots, watches or ends the instance.
    fn knows(&self, instance: &Self::Instance) -> bool;
    /// Whether the platform runs the instance of a [`Place`]. `None` if it can't be known.
    fn runs(&self, instance: &str) -> impl Future<Output = Option<bool>> + Send;
    /// Stops an orphan.
    fn stop(&self, orphan: &Self::Instance) -> impl Future<Output = Result<(), NotStopped>> + Send;
}

/// Why an orphan was not stopped.
#[derive(Debug)]
pub(super) enum NotStopped {
    /// Somebody else stops it, or looks at it.
    #[cfg_attr(not(feature = "fly"), allow(dead_code, reason = "only Fly has leases"))]
    LeftToOthers(BackendError),
    Failed(BackendError),
}

/// See the [module](self).
pub(super) struct Sweeper<P> {
    platform: P,
    pool: PoolInfo,
    /// Where this process runs.
    me: Place,
    every: Duration,
    sweep: Sweep,
}

impl<P: Platform> Sweeper<P> {
    pub(super) fn new(
        platform: P,
        pool: PoolInfo,
        owner: &Owner,
        me: Place,
        (interval, age): (Duration, Duration),
    ) -> Self {
        let (name, parent) = (Some(owner.pool.clone()), Some(owner.parent.clone()));
        let sweep = Sweep::new(Rule { pool: name, parent, age, pause: interval });
        Self { platform, pool, me, every: interval, sweep }
    }

    /// Sweeps now and at regular intervals, until the future is dropped.
    pub(super) async fn keep_sweeping(mut self) {
        loop {
            if let Err(error) = self.scan().await {
                tracing::debug!(pool = self.pool.name, %error, "the search for orphans failed");
            }
            until_next_scan(self.every).await;
        }
    }

    async fn scan(&mut self) -> Result<(), BackendError> {
        let listed = self.platform.list().await?;
        let mut parents = HashMap::new();
        for parent in self.sweep.parents_of(&listed) {
            if let Some(status) = self.status(&parent).await {
                parents.insert(parent, status);
            }
        }
        let orphans = self.sweep.scan(&Scan {
            now: Instant::now().into_std(),
            unix: unix_now(),
            listed: &listed,
            ends_round: true,
            known: &|one| self.platform.knows(one),
            parents: &parents,
        });
        for (id, reason) in orphans {
            if let Some(orphan) = listed.iter().find(|one| one.id() == id) {
                self.stop(orphan, reason).await;
            }
        }
        Ok(())
    }

    /// Whether the process at this place lives, as far as it can be known.
    async fn status(&self, place: &str) -> Option<ParentStatus> {
        let parent = Place::decode(place)?;
        let mine = self.me.instance.as_deref();
        let runs = match parent.instance.as_deref().filter(|id| mine != Some(*id)) {
            Some(elsewhere) => self.platform.runs(elsewhere).await,
            None => None,
        };
        parent.status(&self.me, |_| runs, place::started)
    }

    async fn stop(&self, orphan: &P::Instance, reason: &'static str) {
        let stopped = self.platform.stop(orphan).await;
        if stopped.is_ok() {
            (self.pool.orphan_stopped)();
        }
        let (pool, instance) = (self.pool.name.clone(), orphan.id().to_owned());
        let runner = orphan.tag(RUNNER_TAG).unwrap_or_default().to_owned();
        log_writer::event(move || match stopped {
            Ok(()) => {
                tracing::warn!(instance, pool, runner, reason, "stopped an orphaned runner");
            }
            Err(NotStopped::LeftToOthers(error)) => {
                tracing::debug!(instance, pool, runner, %error, "left an orphan to others");
            }
            Err(NotStopped::Failed(error)) => {
                let message = "could not stop an orphaned runner";
                tracing::warn!(instance, pool, runner, %error, "{message}");
            }
        });
    }
}
