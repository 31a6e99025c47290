//! The machines of one pool: watches each of them with the [`Watch`], reports deaths, and destroys
//! what is dead.
//!
//! One task watches one machine, from the answer to its creation until its death is reported. The
//! task alone reports the death; a stop only tells Fly to destroy the machine, and wakes the task.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::backoff::Backoff;
use flame_wire::sync::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::api::Api;
use super::boot::Boot;
use super::death::{End, death};
use super::failure::ApiError;
use super::machine::Machine;
use super::watch::{Next, Seen, Watch};
use crate::backend::rate_limit::RateLimiter;
use crate::backend::sweep::Listed;
use crate::backend::{BackendError, BootFailure, Death, Instance, InstanceTable};

/// Fly's limit for the creation of machines in one app: so many at once, and then so many a second.
/// Source: <https://fly.io/docs/machines/api/working-with-machines-api/#rate-limits>.
const CREATES: (f64, f64) = (3.0, 1.0);
/// The delays between the attempts at a request.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(250), Duration::from_secs(5)).with_jitter(0.5);
/// How often the destruction of a machine is tried while the pool waits.
const STOP_ATTEMPTS: u32 = 4;
/// How long the pool waits until a machine that Fly destroys is gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the destruction of a machine is tried in the background: for about 2 min. After that
/// the sweep finds the machine.
const BACKGROUND_ATTEMPTS: u32 = 30;

/// See the [module](self).
pub(super) struct Monitor {
    pub(super) api: Api,
    pub(super) machines: InstanceTable<Watched>,
    pub(super) creates: RateLimiter,
    pub(super) runtime: Handle,
    /// The names of machines that are being created.
    booting: Mutex<HashSet<String>>,
}

/// A machine that lives.
#[derive(Default)]
pub(super) struct Watched {
    /// Its pool has told Fly to destroy it.
    destroyed: bool,
    wake: Arc<Notify>,
}

impl Monitor {
    /// A monitor without machines, which runs on the current runtime.
    pub(super) fn new(api: Api) -> Arc<Self> {
        Arc::new(Self {
            api,
            machines: InstanceTable::new(),
            creates: RateLimiter::new(CREATES.0, CREATES.1),
            runtime: Handle::current(),
            booting: Mutex::default(),
        })
    }

    /// Whether the machine belongs to this pool, and is booting, running or ending.
    pub(super) fn knows(&self, machine: &Machine) -> bool {
        self.booting.lock().contains(&machine.name) || self.is_watched(&Instance::new(&machine.id))
    }

    fn is_watched(&self, instance: &Instance) -> bool {
        self.machines.with(instance, |_| ()).is_some()
    }

    /// Creates a machine, and watches it.
    pub(super) async fn boot(self: &Arc<Self>, boot: Boot) -> Result<Instance, BootFailure> {
        let name = boot.name.clone();
        self.booting.lock().insert(name.clone());
        let created = boot.run(self).await.map(|(id, instance_id)| {
            let instance = Instance::new(id);
            let watched = Watched::default();
            let wake = watched.wake.clone();
            self.machines.insert(instance.clone(), watched);
            self.runtime.spawn(self.clone().watch(instance.clone(), instance_id, wake));
            instance
        });
        self.booting.lock().remove(&name);
        created
    }

    /// Watches a machine until it is dead, and reports its death.
    async fn watch(
        self: Arc<Self>,
        instance: Instance,
        mut version: Option<String>,
        wake: Arc<Notify>,
    ) {
        let mut watch = Watch::default();
        // The answer to the creation is as good as a first look.
        let mut next = if version.is_some() { Next::Wait } else { Next::Again(Duration::ZERO) };
        let end = loop {
            let pause = match next {
                Next::Again(pause) => pause,
                _ => {
                    let waited = tokio::select! {
                        waited = self.api.wait(&instance.id, version.as_deref()) => Some(waited),
                        () = wake.notified() => None,
                    };
                    let pause = waited.map(|waited| watch.waited(waited, rand::random()));
                    pause.unwrap_or_default()
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = wake.notified() => {}
            }
            // It was given up: see `keep_destroying`.
            if !self.is_watched(&instance) {
                return;
            }
            let seen = self.api.get(&instance.id).await;
            let look = match &seen {
                Ok(Some(machine)) if machine.is_over() => Seen::Over,
                Ok(Some(_)) => Seen::Alive,
                Ok(None) => Seen::Missing,
                Err(_) => Seen::Error,
            };
            next = watch.seen(look, rand::random());
            let machine = seen.ok().flatten();
            if next == Next::Ended {
                break machine.map_or(End::Missing, |machine| End::Over(Box::new(machine)));
            }
            version = machine.and_then(|machine| machine.instance_id).or(version);
        };
        self.finish(&instance, &end).await;
    }

    /// Destroys a machine that has ended, unless Fly does so, and reports its death.
    async fn finish(self: &Arc<Self>, instance: &Instance, end: &End) {
        let is_going = match end {
            End::Over(machine) => machine.is_ending(),
            End::Missing => true,
        };
        if !is_going && self.api.destroy(&instance.id, None).await.is_err() {
            let (monitor, id) = (self.clone(), instance.id.clone());
            self.runtime.spawn(async move { monitor.keep_destroying(&id).await });
        }
        let by_pool = self.machines.with(instance, |watched| watched.destroyed).unwrap_or(false);
        self.machines.record_death(instance, death(end, by_pool));
    }

    /// Destroys a machine, and waits until it is gone.
    pub(super) async fn stop(self: &Arc<Self>, instance: &Instance) -> Result<(), BackendError> {
        if self.mark_destroyed(instance).is_none() {
            return Ok(());
        }
        // A task of its own: the pool may drop this future, and then nobody would go on.
        let (monitor, instance) = (self.clone(), instance.clone());
        let stopping = self.runtime.spawn(async move {
            let step = || format!("destroying the machine {}", instance.id);
            if let Err(error) = monitor.destroy(&instance.id, STOP_ATTEMPTS).await {
                monitor.machines.with(&instance, |watched| watched.destroyed = false);
                return Err(error.into_backend_error(&step()));
            }
            monitor.machines.with(&instance, |watched| watched.wake.notify_one());
            let gone = timeout(STOP_TIMEOUT, monitor.machines.watch(&instance)).await;
            gone.map(|_| ()).map_err(|_| {
                BackendError::new(format!(
                    "{}: Fly has accepted it, and the machine is still there after \
                     {STOP_TIMEOUT:?}; see `fly machine status {}`",
                    step(),
                    instance.id
                ))
            })
        });
        let lost = |_| Err(BackendError::new("the runtime of the pool has ended"));
        stopping.await.unwrap_or_else(lost)
    }

    fn mark_destroyed(&self, instance: &Instance) -> Option<()> {
        self.machines.with(instance, |watched| watched.destroyed = true)
    }

    /// Tells Fly to destroy a machine, so many times at most.
    async fn destroy(&self, id: &str, attempts: u32) -> Result<(), ApiError> {
        let mut failures = 0;
        loop {
            let Err(error) = self.api.destroy(id, None).await else { return Ok(()) };
            if self.is_going(id).await {
                return Ok(());
            }
            failures += 1;
            if failures == attempts || !error.may_pass() {
                return Err(error);
            }
            let pause = BACKOFF.pause(failures, rand::random());
            // However long the API says to wait, the pool must learn that the machine still runs.
            let asked = error.retry_after().unwrap_or_default().min(STOP_TIMEOUT);
            sleep(pause.max(asked)).await;
        }
    }

    /// Whether Fly is destroying the machine, as it does when the machine's program has exited.
    async fn is_going(&self, id: &str) -> bool {
        match self.api.get(id).await {
            Ok(machine) => machine.is_none_or(|machine| machine.is_ending()),
            Err(_) => false,
        }
    }

    /// Destroys a machine, and tries again for a while if that fails. Nobody waits for it.
    pub(super) async fn keep_destroying(&self, id: &str) {
        if let Err(error) = self.destroy(id, BACKGROUND_ATTEMPTS).await {
            let error = error.into_backend_error(&format!("destroying the machine {id}"));
            log_writer::event(move || tracing::error!(%error, "a machine may still run"));
        }
    }

    /// Destroys all machines, in the background: the pool is gone, so no caller waits.
    pub(super) fn destroy_all(self: &Arc<Self>) {
        let mut all = Vec::new();
        self.machines.for_each(|instance, watched| {
            watched.destroyed = true;
            all.push((instance.clone(), watched.wake.clone()));
        });
        for (instance, wake) in all {
            let monitor = self.clone();
            self.runtime.spawn(async move {
                monitor.keep_destroying(&instance.id).await;
                wake.notify_one();
                if timeout(STOP_TIMEOUT, monitor.machines.watch(&instance)).await.is_err() {
                    // Ends the task that watches it.
                    let death = Death::new("the machine was given up with its pool");
                    monitor.machines.record_death(&instance, death);
                }
            });
        }
    }
}
