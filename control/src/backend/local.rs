//! Runners within this process, over an in-memory link: for tests, and for a laptop on a train.
//!
//! Arguments and results cross the real serialization boundary, and a runner lives the same life
//! as any other; but it shares the process's state, and nothing is gained in speed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flame_runner_shim::build_id::build_id;
use flame_runner_shim::host::LocalHost;
use flame_runner_shim::runner::{Ended, Runner};
use flame_runner_shim::{Connect, panics};
use flame_wire::parent::{FlameParent, HostKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::{Backend, BackendError, BootSpec, Death, Instance, PoolInfo};
use crate::error::BootFailure;

/// Boots runners as tasks of this process.
///
/// ```
/// use flame_aws::backend::Local;
/// use flame_aws::{Pool, remote};
///
/// #[remote]
/// async fn double(n: u32) -> u32 {
///     n * 2
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder("here").backend(Local::new()).start().await?;
/// assert_eq!(pool.call(double(21)).await?, 42);
/// pool.drain().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default, Clone)]
pub struct Local {
    tasks: Arc<Mutex<HashMap<Instance, LocalTask>>>,
}

#[derive(Debug)]
struct LocalTask {
    abort: tokio::task::AbortHandle,
    death: watch::Receiver<Option<Death>>,
}

impl Local {
    /// A backend of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<Instance, LocalTask>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Local {
    fn kind(&self) -> HostKind {
        HostKind::Local
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn init<'a>(&'a self, _: &'a PoolInfo) -> BoxFuture<'a, Result<(), BackendError>> {
        // As on any runner: a panic is told with its place.
        panics::install();
        async { Ok(()) }.boxed()
    }

    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            let failed = |error: &dyn std::error::Error| BootFailure::new(error.to_string());
            let parent = FlameParent::decode(&spec.flame_parent).map_err(|e| failed(&e))?;
            let build = build_id().map_err(|e| failed(&e))?.clone();
            let instance = Instance::new(format!("local-{}", spec.runner));
            // Nobody signals a part of a process; the sender lives as long as the runner.
            let (signals, no_signals) = mpsc::unbounded_channel();
            let runner = Runner {
                parent,
                host: Arc::new(LocalHost::new(instance.id.clone())),
                build,
                connect: Connect::InMemory(spec.in_memory.clone()),
                idle_predicate: crate::app::idle_predicate(),
                logs: None,
                signals: no_signals,
            };
            let (dead, death) = watch::channel(None);
            let life = tokio::spawn(runner.run());
            let abort = life.abort_handle();
            let tasks = self.tasks.clone();
            let name = instance.clone();
            tokio::spawn(async move {
                let reason = match life.await {
                    Ok(Ended::Done { reason, .. }) => format!("the runner ended: {reason}"),
                    Ok(Ended::Refused(refusal)) => refusal.to_string(),
                    Ok(_) => "the runner ended".to_owned(),
                    Err(error) if error.is_cancelled() => "the runner was stopped".to_owned(),
                    Err(error) => error.to_string(),
                };
                drop(signals);
                tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                dead.send_replace(Some(Death::new(reason)));
            });
            self.tasks().insert(instance.clone(), LocalTask { abort, death });
            Ok(instance)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        if let Some(task) = self.tasks().get(instance) {
            task.abort.abort();
        }
        async { Ok(()) }.boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        let death = self.tasks().get(instance).map(|task| task.death.clone());
        super::process::until_dead(death).boxed()
    }
}
