//! Runners within this process, over an in-memory link: for tests, and for work without a network.
//!
//! Arguments and results cross the real serialization boundary, and a runner goes through the same
//! life cycle as any other. But it shares the state of the process, and the work gets no more CPU.

use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::build_id::build_id;
use flame_runner_shim::host::LocalHost;
use flame_runner_shim::runner::{Ended, Runner};
use flame_runner_shim::{Connect, panics};
use flame_wire::parent::HostKind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError};

use super::{
    Backend, BackendError, BootFailure, BootSpec, Death, Instance, InstanceTable, Instances,
    PoolInfo,
};
use crate::cost::InstanceSize;

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
#[non_exhaustive]
pub struct Local;

impl Local {
    /// A backend that boots runners in this process.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Backend for Local {
    fn kind(&self) -> HostKind {
        HostKind::Local
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// A part of a process can't be replaced by another executable.
    fn supports_code_sync(&self) -> bool {
        false
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        pool.warn_of_small_machine();
        // As on any runner, a panic in a function is reported with its location.
        panics::install();
        async { Ok(Arc::new(LocalInstances::default()) as Arc<dyn Instances>) }.boxed()
    }
}

/// The runners of one pool.
#[derive(Debug, Default)]
struct LocalInstances {
    tasks: InstanceTable<AbortHandle>,
}

impl LocalInstances {
    fn boot(&self, spec: BootSpec) -> Result<Instance, BootFailure> {
        let build = build_id().map_err(|error| BootFailure::new(error.to_string()))?.clone();
        let instance = Instance::new(format!("local-{}", spec.runner));
        // A part of a process gets no signals. The sender lives as long as the runner.
        let (signals, no_signals) = mpsc::unbounded_channel();
        let runner = Runner {
            parent: spec.parent,
            host: Arc::new(LocalHost::new(instance.id.clone())),
            build,
            connect: Connect::InMemory(spec.in_memory),
            idle_predicate: crate::app::idle_predicate(),
            logs: None,
            signals: no_signals,
        };
        let run = tokio::spawn(runner.run());
        self.tasks.insert(instance.clone(), run.abort_handle());
        let (tasks, ended) = (self.tasks.clone(), instance.clone());
        tokio::spawn(async move {
            let death = Death::new(reason(run.await));
            drop(signals);
            tasks.record_death(&ended, death);
        });
        Ok(instance)
    }
}

impl Drop for LocalInstances {
    fn drop(&mut self) {
        self.tasks.for_each(|_, task| task.abort());
    }
}

impl Instances for LocalInstances {
    fn size(&self) -> InstanceSize {
        InstanceSize::Free
    }

    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move { self.boot(spec) }.boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.tasks.with(instance, |task| task.abort());
        async { Ok(()) }.boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.tasks.watch(instance)
    }
}

fn reason(ended: Result<Ended, JoinError>) -> String {
    match ended {
        Ok(Ended::Done { reason, .. }) => format!("the runner ended: {reason}"),
        Ok(Ended::Rejected(rejection)) => rejection.to_string(),
        Ok(_) => "the runner ended".to_owned(),
        Err(error) if error.is_cancelled() => "the runner was stopped".to_owned(),
        Err(error) => error.to_string(),
    }
}
