//! Runners as Fly Machines.
//!
//! ```text
//!  builder, FLY_* ──▶ settings ──▶ start ──▶ guest, template ──▶ FlyInstances
//!                     (pure)                 (pure)
//!  remote_boot ──▶ boot ──▶ attempt ──▶ api: create ──▶ monitor.watch
//!                           (pure)
//!  stop ─────────▶ api: destroy ───────────┐
//!  api: wait, get ──▶ monitor ──▶ watch ───┴▶ death ──▶ InstanceTable ──▶ watch
//!                                 (pure)      (pure)
//!  a timer ──▶ super::sweeper ──▶ super::sweep ──▶ sweeper ──▶ api: lease, destroy, for orphans
//!                                 (pure)
//! ```
//!
//! `machine` is what the API says of a machine, and `failure` says what the API's errors mean. Only
//! `api` makes requests.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flame_wire::parent::HostKind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Backend, BackendError, Instances, PoolInfo};

mod api;
mod attempt;
mod boot;
mod builder;
mod death;
mod failure;
mod guest;
mod instances;
mod machine;
mod monitor;
mod settings;
mod start;
mod sweeper;
mod template;
mod watch;

pub use builder::FlyBuilder;
pub use guest::CpuKind;

#[doc = include_str!("fly/README.md")]
#[derive(Clone)]
pub struct Fly {
    builder: Arc<FlyBuilder>,
}

impl fmt::Debug for Fly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fly").field("builder", &self.builder).finish_non_exhaustive()
    }
}

impl Fly {
    /// The options of a backend. Settings that are not set come from the environment.
    pub fn builder() -> FlyBuilder {
        FlyBuilder::default()
    }

    /// A backend with all settings from the environment of a Fly Machine, and the token from
    /// FLY_API_TOKEN.
    #[must_use]
    pub fn from_env() -> Self {
        Self::builder().build()
    }

    fn new(builder: FlyBuilder) -> Self {
        Self { builder: Arc::new(builder) }
    }
}

impl Backend for Fly {
    fn kind(&self) -> HostKind {
        HostKind::Fly
    }

    /// 60 s. A machine starts in about a second where its image is at hand, but a host that does not
    /// have the image must pull it first.
    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// The address of this machine in its organization's private network: FLY_PRIVATE_IP, an IPv6
    /// address. `None` outside of Fly.
    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        std::future::ready(settings::private_address(settings::variable)).boxed()
    }

    fn connection_advice(&self) -> Option<&str> {
        Some(
            "a machine of its app must be able to connect to this address: on Fly, both apps must \
             be in one private network (6PN)",
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
    fn debug_shows_neither_the_token_nor_the_variables_of_the_runners() {
        let backend = Fly::builder().env("KEY", "hunter2").token("hunter3").build();
        let shown = format!("{backend:?}");
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
