//! The containers of one pool: drives the [`Fleet`], reports deaths, and removes what is dead.
//!
//! Deaths arrive on one stream of events. Whenever the stream is opened, the engine's clock is read
//! first, then all containers are listed, and then the events since that time are asked for. So no
//! death is missed, whatever happened before.
//!
//! A container is removed by whoever ends it in the fleet, and only then its death is reported. So a
//! pool that has drained leaves no container.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::backoff::Backoff;
use flame_wire::ids::RunnerRef;
use flame_wire::sync::{Mutex, MutexGuard};
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::death::{End, death};
use super::engine::{ContainerEvent, ContainerState, Engine};
use super::failure::{EngineError, ErrorKind};
use super::fleet::{Exit, Fleet};
use super::output;
use super::retry::{BUSY, retry};
use crate::backend::output::RunnerOutput;
use crate::backend::{BackendError, Death, Instance, InstanceTable, PoolInfo};

/// How often the stream of events is opened anew. This bounds for how long a connection that is dead
/// without a sign can hide a death.
const REOPEN_EVERY: Duration = Duration::from_secs(300);
/// The delays before the stream of events is opened again after a failure.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).with_jitter(0.5);
/// How long to wait for the event of a death that was found in another way, and how often to look.
const EVENT_TIMEOUT: Duration = Duration::from_secs(2);
const EVENT_PAUSE: Duration = Duration::from_millis(20);
/// How long to wait for the end of a dead container's output.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the removal of a container is tried in the background, which takes at least 1 min.
/// After that the sweep finds the container.
const REMOVALS: u32 = 30;
/// A request without an answer may be carried out late: so the container is removed once more, after
/// this time.
const LATE_REQUEST: Duration = Duration::from_secs(10);
/// How many containers are removed at the same time when a pool is gone.
const CONCURRENT_REMOVALS: usize = 16;

/// See the [module](self).
pub(super) struct Monitor {
    pub(super) engine: Engine,
    pub(super) containers: InstanceTable<Watched>,
    pool: PoolInfo,
    /// The label, with its value, of this pool's containers.
    label: String,
    fleet: Mutex<Fleet>,
    runtime: Handle,
}

/// A container, as its output is read.
pub(super) struct Watched {
    output: RunnerOutput,
    dead: watch::Sender<bool>,
    reader: Option<JoinHandle<()>>,
}

impl Monitor {
    /// A monitor without containers, which runs on the current runtime.
    pub(super) fn new(engine: Engine, pool: PoolInfo, label: String) -> Arc<Self> {
        Arc::new(Self {
            engine,
            containers: InstanceTable::new(),
            pool,
            label,
            fleet: Mutex::default(),
            runtime: Handle::current(),
        })
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock()
    }

    /// Whether the container belongs to this pool, and is booting, running or ending.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.fleet().knows(name)
    }

    /// A boot has begun, so its container is not a stray.
    pub(super) fn begin(&self, name: &str, runner: RunnerRef) {
        self.fleet().begin(name);
        let output = RunnerOutput::new(runner, &self.pool);
        let watched = Watched { output, dead: watch::Sender::new(false), reader: None };
        self.containers.insert(Instance::new(name), watched);
    }

    /// The container has started: reads its output, and reports its death when it comes.
    pub(super) fn started(self: &Arc<Self>, name: &str) {
        let instance = Instance::new(name);
        self.containers.with(&instance, |watched| {
            let (engine, dead) = (self.engine.clone(), watched.dead.subscribe());
            let reading = output::read(engine, name.to_owned(), watched.output.clone(), dead);
            watched.reader = Some(self.runtime.spawn(reading));
        });
        if let Some(exit) = self.fleet().started(name) {
            self.report(name.to_owned(), Some(exit));
        }
    }

    /// The boot has failed. `is_unknown` says that the engine may still create or start the
    /// container, and can't be asked now.
    pub(super) async fn boot_failed(self: &Arc<Self>, name: &str, is_unknown: bool) {
        if is_unknown {
            let (monitor, name) = (self.clone(), name.to_owned());
            self.runtime.spawn(async move {
                monitor.keep_removing(&name).await;
                sleep(LATE_REQUEST).await;
                monitor.keep_removing(&name).await;
            });
        } else {
            self.remove(name).await;
        }
        self.forget(name, Death::new("its boot has failed"));
    }

    /// Stops a container, and reports its death, unless it has ended or is ending by itself.
    pub(super) async fn stop(self: &Arc<Self>, name: &str) -> Result<(), BackendError> {
        if !self.fleet().stop(name) {
            return Ok(());
        }
        // A task of its own: the pool may drop this future, and then nobody would end the container.
        let (monitor, name) = (self.clone(), name.to_owned());
        let stopping = self.runtime.spawn(async move {
            match monitor.end(&name).await {
                Ok(end) => {
                    monitor.finish(&name, end).await;
                    Ok(())
                }
                Err(error) => {
                    monitor.fleet().stop_failed(&name);
                    Err(error.into_backend_error(&format!("stopping the container {name}")))
                }
            }
        });
        let lost = |_| Err(BackendError::new("the runtime of the pool has ended"));
        stopping.await.unwrap_or_else(lost)
    }

    /// Ends a container. Returns how it ended: it may have exited a moment before.
    async fn end(&self, name: &str) -> Result<End, EngineError> {
        let end = async || match self.engine.state(name).await? {
            None => Ok(End::Missing),
            Some(state) if !state.is_running => Ok(End::Exited(state)),
            Some(_) => self.engine.remove(name).await.map(|()| End::Stopped),
        };
        match retry(Instant::now() + BUSY, |_| true, |_| end()).await? {
            // The exit code is in the event: podman stores it later.
            End::Exited(state) => Ok(End::of(self.exit_event(name).await, Some(Some(state)))),
            end => Ok(end),
        }
    }

    /// What the event of a death says; `None` if there is none for a while.
    async fn exit_event(&self, name: &str) -> Option<Exit> {
        let event = async {
            loop {
                if let Some(exit) = self.fleet().exit_while_ending(name) {
                    return exit;
                }
                sleep(EVENT_PAUSE).await;
            }
        };
        timeout(EVENT_TIMEOUT, event).await.ok()
    }

    /// Watches the events until the future is dropped, whatever fails.
    pub(super) async fn keep_watching(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            let Err(error) = self.watch_events(&mut failures).await else { continue };
            failures += 1;
            // While an engine restarts, a first failure is nothing that a person must know.
            if failures == 2 {
                let error = error.into_backend_error("watching the events of the containers");
                let pool = self.pool.name.clone();
                log_writer::event(move || {
                    tracing::warn!(pool, "{error}; until that works, no death is noticed");
                });
            }
            sleep(BACKOFF.pause(failures, rand::random())).await;
        }
    }

    async fn watch_events(self: &Arc<Self>, failures: &mut u32) -> Result<(), EngineError> {
        let since = self.engine.time().await?;
        self.look_for_missed_deaths().await?;
        *failures = 0;
        let mut events = pin!(self.engine.events(&self.label, since));
        let mut reopen = pin!(sleep(REOPEN_EVERY));
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.happened(event?),
                    None => {
                        let message = "the stream of events has ended".to_owned();
                        return Err(EngineError { kind: ErrorKind::Broken, message });
                    }
                },
                () = &mut reopen => return Ok(()),
            }
        }
    }

    async fn look_for_missed_deaths(self: &Arc<Self>) -> Result<(), EngineError> {
        let request = self.fleet().request_list();
        let running = self.engine.running(&self.label).await?;
        let ended = self.fleet().listed(request, |name| running.contains(name));
        for name in ended {
            self.report(name, None);
        }
        Ok(())
    }

    fn happened(self: &Arc<Self>, event: ContainerEvent) {
        let ContainerEvent { name, action, exit_code } = event;
        // podman calls some of them by other names.
        let exit = match action.as_str() {
            "die" | "died" => Exit::Died(exit_code),
            "destroy" | "remove" => Exit::Removed,
            _ => return,
        };
        if self.fleet().exited(&name, exit) {
            self.report(name, Some(exit));
        }
    }

    /// Asks how a container has ended, removes it, and reports its death, in the background.
    fn report(self: &Arc<Self>, name: String, exit: Option<Exit>) {
        let monitor = self.clone();
        self.runtime.spawn(async move {
            let end = End::of(exit, monitor.state_at_end(&name).await.ok());
            monitor.finish(&name, end).await;
        });
    }

    /// The state of a container that has ended. While podman finishes with it, it has a state that
    /// bollard does not know, or still runs, so the request is made again.
    async fn state_at_end(&self, name: &str) -> Result<Option<ContainerState>, EngineError> {
        let state = async || match self.engine.state(name).await? {
            Some(state) if state.is_running => Err(EngineError {
                kind: ErrorKind::Client,
                message: "the container has ended, and the engine says that it runs".to_owned(),
            }),
            state => Ok(state),
        };
        retry(Instant::now() + BUSY, |_| true, |_| state()).await
    }

    /// Removes a container that has ended, and reports its death.
    async fn finish(self: &Arc<Self>, name: &str, end: End) {
        let instance = Instance::new(name);
        let watched = self.containers.with(&instance, |watched| {
            watched.dead.send_replace(true);
            (watched.output.clone(), watched.reader.take())
        });
        let mut tail = Vec::new();
        if let Some((output, reader)) = watched {
            if let Some(mut reader) = reader
                && timeout(OUTPUT_TIMEOUT, &mut reader).await.is_err()
            {
                reader.abort();
            }
            tail = output.tail();
        }
        self.remove(name).await;
        self.forget(name, death(&end, tail));
    }

    fn forget(&self, name: &str, death: Death) {
        self.containers.record_death(&Instance::new(name), death);
        self.fleet().forget(name);
    }

    /// Removes all containers, in the background: the pool is gone, so no caller waits. The runtime
    /// of the pool may be ending as well, so a thread with a runtime of its own does it.
    pub(super) fn remove_all(self: &Arc<Self>) {
        let names = self.fleet().names();
        if names.is_empty() {
            return;
        }
        let monitor = self.clone();
        let removing =
            std::thread::Builder::new().name("flame-docker".to_owned()).spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(monitor.remove_each(names));
                Ok::<_, std::io::Error>(())
            });
        if let Err(error) = removing {
            let pool = self.pool.name.clone();
            log_writer::event(move || {
                tracing::error!(pool, %error, "the containers of a pool that is gone are not removed");
            });
        }
    }

    async fn remove_each(&self, names: Vec<String>) {
        let removing = stream::iter(names).for_each_concurrent(CONCURRENT_REMOVALS, async |name| {
            self.keep_removing(&name).await;
            self.forget(&name, death(&End::Stopped, Vec::new()));
        });
        removing.await;
    }

    /// Removes a container. If the engine can't do it now, tries again in the background.
    async fn remove(self: &Arc<Self>, name: &str) {
        let removing = retry(Instant::now() + BUSY, |_| true, |_| self.engine.remove(name));
        if removing.await.is_err() {
            let (monitor, name) = (self.clone(), name.to_owned());
            self.runtime.spawn(async move { monitor.keep_removing(&name).await });
        }
    }

    /// Removes a container, and tries again for a while if that fails.
    async fn keep_removing(&self, name: &str) {
        for failures in 1..=REMOVALS {
            let Err(error) = self.engine.remove(name).await else { return };
            if failures < REMOVALS {
                sleep(BACKOFF.pause(failures, rand::random())).await;
                continue;
            }
            let error = error.into_backend_error(&format!("removing the container {name}"));
            log_writer::event(move || tracing::error!(%error, "a container may still run"));
        }
    }
}
