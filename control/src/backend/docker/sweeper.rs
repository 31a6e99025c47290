//! The driver of the [`Sweep`]: lists the containers of a pool, looks up their parents, and removes
//! what was left behind.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use tokio::time::{Instant, sleep};

use super::failure::EngineError;
use super::monitor::Monitor;
use super::template::Owner;
use crate::backend::PoolInfo;
use crate::backend::place::{self, Place};
use crate::backend::sweep::{ParentStatus, RUNNER_TAG, Rule, Scan, Sweep, unix_now};

/// See the [module](self).
pub(super) struct Sweeper {
    monitor: Arc<Monitor>,
    pool: PoolInfo,
    /// The label, with its value, of the containers of all pools of this name.
    label: String,
    /// Where this process runs.
    me: Place,
    every: Duration,
    sweep: Sweep,
}

impl Sweeper {
    pub(super) fn new(
        monitor: Arc<Monitor>,
        pool: PoolInfo,
        owner: &Owner,
        me: Place,
        (interval, age): (Duration, Duration),
    ) -> Self {
        let (name, parent) = (Some(owner.pool.clone()), Some(owner.parent.clone()));
        let sweep = Sweep::new(Rule { pool: name, parent, age, pause: interval });
        Self { monitor, pool, label: owner.pool_label(), me, every: interval, sweep }
    }

    /// Sweeps now and at regular intervals, until the future is dropped.
    pub(super) async fn keep_sweeping(mut self) {
        loop {
            if let Err(error) = self.scan().await {
                tracing::debug!(%error, "the search for containers that were left behind failed");
            }
            // Jitter keeps several parents from scanning at the same time.
            sleep(self.every + self.every.mul_f64(rand::random_range(0.0..0.1))).await;
        }
    }

    async fn scan(&mut self) -> Result<(), EngineError> {
        let listed = self.monitor.engine.list(&self.label).await?;
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
            known: &|one| self.monitor.knows(&one.name),
            parents: &parents,
        });
        for (name, reason) in orphans {
            let container = listed.iter().find(|one| one.name == name);
            let runner = container.and_then(|one| one.labels.get(RUNNER_TAG)).cloned();
            self.remove(name, runner.unwrap_or_default(), reason).await;
        }
        Ok(())
    }

    /// Whether the process at this place lives, as far as it can be known.
    async fn status(&self, place: &str) -> Option<ParentStatus> {
        let parent = Place::decode(place)?;
        let elsewhere =
            parent.instance.as_ref().filter(|id| self.me.instance.as_ref() != Some(*id));
        let runs = match elsewhere {
            Some(id) => self.monitor.engine.runs(id).await.ok(),
            None => None,
        };
        parent.status(&self.me, |_| runs, place::started)
    }

    async fn remove(&self, container: String, runner: String, reason: &'static str) {
        let removed = self.monitor.engine.remove(&container).await;
        if removed.is_ok() {
            (self.pool.orphan_stopped)();
        }
        let pool = self.pool.name.clone();
        log_writer::event(move || match removed {
            Ok(()) => {
                tracing::warn!(container, pool, runner, reason, "stopped an orphaned runner");
            }
            Err(error) => {
                let error = error.into_backend_error("removing its container");
                let message = "could not stop an orphaned runner";
                tracing::warn!(container, pool, runner, %error, "{message}");
            }
        });
    }
}
