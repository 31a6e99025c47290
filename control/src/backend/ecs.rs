//! Runners as ECS tasks, on Fargate or on EC2 instances.
//!
//! ```text
//!  builder, environment, own task ──▶ task_template ── start: checked against ECS ──▶ EcsInstances
//!
//!  remote_boot ──▶ run_task ─▶ request ─▶ api: RunTask ──▶ task_monitor.insert
//!                  (pure)      (pure)
//!  watch, stop ──▶ task_monitor ─▶ poller ─▶ api: DescribeTasks, for all tasks at once
//!                                  (pure)
//!  a timer ──────▶ sweeper ─┬─▶ orphan_search ─▶ super::sweep ─▶ api: StopTask for orphans
//!  a schedule ───▶ reaper ──┘                    (pure)
//! ```
//!
//! `classify` says what RunTask's errors mean, `task` why a task ended, and `fargate` which sizes
//! there are, and `providers` which capacity provider a runner tries. `log_tail` reads the last lines
//! of a task that died in its boot. `warnings` finds settings that are probably unintended. Only
//! `api` knows the SDK's types.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flame_wire::parent::HostKind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::aws::address;
use super::{Backend, BackendError, Instances, PoolInfo};

mod api;
mod builder;
mod classify;
mod fargate;
mod instances;
#[cfg(feature = "cloudwatch-logs")]
mod log_tail;
mod orphan_search;
mod poller;
mod providers;
mod reaper;
mod request;
mod run_task;
mod start;
mod sweeper;
mod task;
mod task_monitor;
mod task_template;
#[cfg(test)]
mod testing;
mod warnings;

pub use builder::EcsBuilder;
pub use reaper::{EcsReaper, ReaperReport};

#[doc = include_str!("ecs/README.md")]
#[derive(Clone)]
pub struct Ecs {
    builder: Arc<EcsBuilder>,
}

impl fmt::Debug for Ecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ecs").field("builder", &self.builder).finish_non_exhaustive()
    }
}

impl Ecs {
    /// The options of a backend. Settings that are not set come from the environment.
    pub fn builder() -> EcsBuilder {
        EcsBuilder::default()
    }

    /// A backend with all settings from the environment: FLAME_ECS_CLUSTER and the other variables
    /// of [`EcsBuilder`], FLAME_AWS, and the ECS task that this process runs in, if there is one.
    #[must_use]
    pub fn from_env() -> Self {
        Self::builder().build()
    }

    fn new(builder: EcsBuilder) -> Self {
        Self { builder: Arc::new(builder) }
    }
}

impl Backend for Ecs {
    fn kind(&self) -> HostKind {
        HostKind::Ecs
    }

    /// 120 s: pulling a large image may take a minute.
    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(120)
    }

    /// The private address of the ECS task or the EC2 instance that this process runs on.
    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        address::of_this_process().boxed()
    }

    fn connection_advice(&self) -> Option<&str> {
        Some(address::CONNECTION_ADVICE)
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move {
            let instances = start::start(&self.builder, &pool).await?;
            Ok(Arc::new(instances) as Arc<dyn Instances>)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_environment_variable_of_the_runners() {
        let backend = Ecs::builder().cluster("main").env("DB_PASSWORD", "hunter2").build();
        assert!(!format!("{backend:?}").contains("hunter2"));
    }
}
