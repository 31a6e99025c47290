//! Runners as containers of a Docker engine.
//!
//! ```text
//!  builder, DOCKER_HOST ──▶ endpoint ──▶ engine ─┐
//!  own: this process's container ──▶ network ────┴▶ start ──▶ template ──▶ DockerInstances
//!                                    (pure)                   (pure)
//!  remote_boot ──▶ engine: create, start ──▶ monitor.started ──▶ output
//!  stop ─────────▶ engine: remove ─────────┐
//!  engine's events and lists ──▶ monitor ──┴▶ fleet ──▶ death ──▶ InstanceTable ──▶ watch
//!                                            (pure)     (pure)
//!  a timer ──▶ super::sweeper ──▶ super::sweep ──▶ sweeper ──▶ engine: remove, for orphans
//!                                 (pure)
//! ```
//!
//! `failure` says what the engine's errors mean, `certificates` checks the files for TLS, and `pull`
//! gets the image. Only `engine` makes requests.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flame_wire::parent::HostKind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Backend, BackendError, Instances, PoolInfo};

mod builder;
mod certificates;
mod death;
mod endpoint;
mod engine;
mod failure;
mod fleet;
mod instances;
mod monitor;
mod network;
mod output;
mod own;
mod pull;
mod retry;
mod start;
mod sweeper;
mod template;

pub use builder::DockerBuilder;
pub use pull::PullPolicy;

#[doc = include_str!("docker/README.md")]
#[derive(Clone)]
pub struct Docker {
    builder: Arc<DockerBuilder>,
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Docker").field("builder", &self.builder).finish_non_exhaustive()
    }
}

impl Docker {
    /// The options of a backend. Settings that are not set come from the environment.
    pub fn builder() -> DockerBuilder {
        DockerBuilder::default()
    }

    /// A backend with all settings from the environment: DOCKER_HOST, FLAME_DOCKER_IMAGE and the
    /// other variables of [`DockerBuilder`], and the container that this process runs in, if there
    /// is one.
    #[must_use]
    pub fn from_env() -> Self {
        Self::builder().build()
    }

    fn new(builder: DockerBuilder) -> Self {
        Self { builder: Arc::new(builder) }
    }
}

impl Backend for Docker {
    fn kind(&self) -> HostKind {
        HostKind::Docker
    }

    /// 30 s. The image is pulled when the pool starts, so this time does not include it.
    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// The address of this process on the runners' network, or the gateway of that network.
    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        start::address(&self.builder).boxed()
    }

    fn connection_advice(&self) -> Option<&str> {
        Some(
            "a container on its network must be able to connect to this address; a firewall on this \
             machine may block connections from the engine's networks",
        )
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move {
            let instances = start::start(&self.builder, pool).await?;
            Ok(Arc::new(instances) as Arc<dyn Instances>)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_the_variables_of_the_runners_nor_the_credentials() {
        let backend = Docker::builder().env("KEY", "hunter2").credentials("me", "hunter3").build();
        let shown = format!("{backend:?}");
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
