//! The driver of the [`Sweep`]: lists the machines of a pool, looks up their parents, and destroys
//! what was left behind.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use tokio::time::{Instant, sleep};

use super::failure::ApiError;
use super::machine::Machine;
use super::monitor::Monitor;
use super::template::{Owner, key};
use crate::backend::PoolInfo;
use crate::backend::place::{self, Place};
use crate::backend::sweep::{
    Listed, POOL_TAG, ParentStatus, RUNNER_TAG, Rule, Scan, Sweep, unix_now,
};

/// See the [module](self).
pub(super) struct Sweeper {
    monitor: Arc<Monitor>,
    pool: PoolInfo,
    /// The app of the machines.
    app: String,
    /// Where this process runs.
    me: Place,
    every: Duration,
    sweep: Sweep,
}

/// The instance of a [`Place`] on Fly.
pub(super) fn place_of(app: &str, machine: &str) -> String {
    format!("{app}:{machine}")
}

impl Sweeper {
    pub(super) fn new(
        monitor: Arc<Monitor>,
        pool: PoolInfo,
        app: String,
        owner: &Owner,
        me: Place,
        (interval, age): (Duration, Duration),
    ) -> Self {
        let (name, parent) = (Some(owner.pool.clone()), Some(owner.parent.clone()));
        let sweep = Sweep::new(Rule { pool: name, parent, age, pause: interval });
        Self { monitor, pool, app, me, every: interval, sweep }
    }

    /// Sweeps now and at regular intervals, until the future is dropped.
    pub(super) async fn keep_sweeping(mut self) {
        loop {
            if let Err(error) = self.scan().await {
                tracing::debug!(%error, "the search for machines that were left behind failed");
            }
            // Jitter keeps several parents from scanning at the same time.
            sleep(self.every + self.every.mul_f64(rand::random_range(0.0..0.1))).await;
        }
    }

    async fn scan(&mut self) -> Result<(), ApiError> {
        let listed = self.monitor.api.list(&key(POOL_TAG), &self.pool.name).await?;
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
            known: &|one| self.monitor.knows(one),
            parents: &parents,
        });
        for (id, reason) in orphans {
            if let Some(machine) = listed.iter().find(|one| one.id == id) {
                self.destroy(machine, reason).await;
            }
        }
        Ok(())
    }

    /// Whether the process at this place lives, as far as it can be known.
    async fn status(&self, parent: &str) -> Option<ParentStatus> {
        let parent = Place::decode(parent)?;
        let elsewhere =
            parent.instance.as_deref().filter(|id| self.me.instance.as_deref() != Some(*id));
        let runs = match elsewhere.and_then(|place| place.split_once(':')) {
            Some((app, machine)) => self.runs(app, machine).await,
            None => None,
        };
        parent.status(&self.me, |_| runs, place::started)
    }

    /// Whether that machine runs. A machine of another app that is not found may be one that the
    /// token can't see.
    async fn runs(&self, app: &str, machine: &str) -> Option<bool> {
        match self.monitor.api.get_of(app, machine).await.ok()? {
            Some(machine) => Some(machine.runs_a_parent()),
            None if app == self.app => Some(false),
            None => None,
        }
    }

    /// Destroys an orphan, unless somebody else holds its lease: another parent that has found it as
    /// well, or a person who looks at it.
    async fn destroy(&self, machine: &Machine, reason: &'static str) {
        let destroyed = match self.monitor.api.lease(&machine.id).await {
            Ok(nonce) => self.monitor.api.destroy(&machine.id, Some(&nonce)).await,
            Err(error) => Err(error),
        };
        if destroyed.is_ok() {
            (self.pool.orphan_stopped)();
        }
        let (pool, id) = (self.pool.name.clone(), machine.id.clone());
        let runner = machine.tag(RUNNER_TAG).unwrap_or_default().to_owned();
        log_writer::event(move || match destroyed {
            Ok(()) => {
                tracing::warn!(machine = id, pool, runner, reason, "stopped an orphaned runner");
            }
            Err(error) if error.is_leased() || error.is_not_found() => {
                tracing::debug!(machine = id, pool, runner, %error, "left an orphan to others");
            }
            Err(error) => {
                let error = error.into_backend_error("destroying its machine");
                let message = "could not stop an orphaned runner";
                tracing::warn!(machine = id, pool, runner, %error, "{message}");
            }
        });
    }
}
