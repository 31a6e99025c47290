//! The bookkeeping that every backend needs: its instances, and how they died.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use flame_wire::sync::{Mutex, MutexGuard};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{Death, Instance};

/// How many deaths are kept.
const DEATHS: usize = 100;

/// The instances of a backend: a handle for each one that is alive, and how the others died.
///
/// It does the bookkeeping behind [`Instances::watch`](super::Instances::watch) and
/// [`stop`](super::Instances::stop). `H` is whatever the backend needs to stop an instance.
///
/// ```text
/// insert ──▶ alive, with a handle ── record_death ──▶ dead ── 100 later deaths ──▶ forgotten
/// watch:     completes at the death                   completes at once            completes at once
/// ```
///
/// A clone is another handle to the same table.
///
/// ```
/// use flame_aws::backend::{Death, Instance, InstanceTable};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let table = InstanceTable::new();
/// let instance = Instance::new("machine-7");
/// table.insert(instance.clone(), "the handle");
///
/// let death = tokio::spawn(table.watch(&instance));
/// assert_eq!(table.with(&instance, |handle| *handle), Some("the handle"));
///
/// table.record_death(&instance, Death::new("the machine was switched off"));
/// assert_eq!(death.await.unwrap().reason, "the machine was switched off");
/// assert_eq!(table.with(&instance, |handle| *handle), None);
/// # }
/// ```
pub struct InstanceTable<H> {
    table: Arc<Mutex<Table<H>>>,
}

struct Table<H> {
    alive: HashMap<Instance, LiveInstance<H>>,
    /// The most recent deaths, oldest first.
    dead: VecDeque<(Instance, Death)>,
}

struct LiveInstance<H> {
    handle: H,
    death: watch::Sender<Option<Death>>,
}

impl<H> InstanceTable<H> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        let table = Table { alive: HashMap::new(), dead: VecDeque::new() };
        Self { table: Arc::new(Mutex::new(table)) }
    }

    /// Adds an instance that is alive. Add it before [`remote_boot`](super::Instances::remote_boot)
    /// returns it, and before its death is recorded.
    ///
    /// If there is an instance with the same id, this one replaces it.
    pub fn insert(&self, instance: Instance, handle: H) {
        let mut table = self.lock();
        table.dead.retain(|(dead, _)| *dead != instance);
        let alive = LiveInstance { handle, death: watch::Sender::new(None) };
        let replaced = table.alive.insert(instance, alive);
        drop(table);
        // Dropping a handle may run any code, so the table must not be locked.
        drop(replaced);
    }

    /// Uses the handle of an instance; `None` if the instance is dead or unknown. The table is
    /// locked meanwhile, so `f` must not block, and must not use the table.
    pub fn with<R>(&self, instance: &Instance, f: impl FnOnce(&mut H) -> R) -> Option<R> {
        self.lock().alive.get_mut(instance).map(|alive| f(&mut alive.handle))
    }

    /// Uses the handle of each instance that is alive, for example to stop them all. The table is
    /// locked meanwhile, as with [`with`](Self::with).
    pub fn for_each(&self, mut f: impl FnMut(&Instance, &mut H)) {
        for (instance, alive) in &mut self.lock().alive {
            f(instance, &mut alive.handle);
        }
    }

    /// Records that an instance has died, which completes every [`watch`](Self::watch) of it.
    /// Returns the instance's handle. Does nothing if the instance is not alive.
    ///
    /// The table keeps the last 100 deaths. If an older one is asked for, `watch` says only that
    /// the instance is gone.
    pub fn record_death(&self, instance: &Instance, death: Death) -> Option<H> {
        let mut table = self.lock();
        let LiveInstance { handle, death: watchers } = table.alive.remove(instance)?;
        if table.dead.len() == DEATHS {
            table.dead.pop_front();
        }
        table.dead.push_back((instance.clone(), death.clone()));
        drop(table);
        watchers.send_replace(Some(death));
        Some(handle)
    }

    /// Completes when the instance has died; at once if it is dead or unknown. Does what
    /// [`Instances::watch`](super::Instances::watch) has to do.
    pub fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        let table = self.lock();
        if let Some(alive) = table.alive.get(instance) {
            return until_dead(alive.death.subscribe()).boxed();
        }
        let death = table.dead.iter().find(|(dead, _)| dead == instance);
        let death = death.map_or_else(unknown, |(_, death)| death.clone());
        std::future::ready(death).boxed()
    }

    fn lock(&self) -> MutexGuard<'_, Table<H>> {
        self.table.lock()
    }
}

impl<H> Default for InstanceTable<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> Clone for InstanceTable<H> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone() }
    }
}

impl<H> fmt::Debug for InstanceTable<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.lock();
        let alive: Vec<_> = table.alive.keys().map(|instance| &instance.id).collect();
        f.debug_struct("InstanceTable").field("alive", &alive).finish_non_exhaustive()
    }
}

async fn until_dead(mut death: watch::Receiver<Option<Death>>) -> Death {
    match death.wait_for(Option::is_some).await {
        Ok(death) => death.clone().unwrap_or_else(unknown),
        // The table is gone, or another instance has taken the id.
        Err(_) => unknown(),
    }
}

fn unknown() -> Death {
    Death::new("the instance is gone")
}

#[cfg(test)]
mod tests;
