//! Starts the platform on which the runners run. The rest of the program is the same on all
//! platforms.
//!
//! With `docker`, the copies are containers of this machine's engine (`docker.rs`).
//!
//! The backends on AWS read their settings from the environment (see `flame_aws::backend::{Ecs,
//! Lambda}`). With `--emulated`, this program starts an emulator, creates what it needs there, and
//! uses that. With `--relay`, it starts a relay.

use std::net::Ipv4Addr;

use flame_aws::backend::{Docker, Ecs, Lambda};
use flame_aws::{Pool, PoolBuilder};

use crate::backend_kind::BackendKind;
use crate::docker;
use crate::emulator::Emulator;
use crate::options::Options;
use crate::relay::RelayProcess;

/// The programs that this program has started for its pool. They must live as long as the pool.
pub(crate) struct Platform {
    emulator: Option<Emulator>,
    relay: Option<RelayProcess>,
    docker: Option<Docker>,
}

impl Platform {
    pub(crate) async fn start(options: &Options) -> anyhow::Result<Self> {
        let emulator =
            if options.emulated { Some(Emulator::start(&options.out).await?) } else { None };
        let relay = if options.relay { Some(RelayProcess::start()?) } else { None };
        let docker = match options.backend {
            BackendKind::Docker => Some(docker::backend().await?),
            _ => None,
        };
        Ok(Self { emulator, relay, docker })
    }

    /// A pool whose runners run on this platform. All its other options are the same everywhere.
    pub(crate) fn pool(&self, options: &Options) -> PoolBuilder {
        let from_env = || (Ecs::from_env(), Lambda::from_env());
        let (ecs, lambda) = self.emulator.as_ref().map_or_else(from_env, Emulator::backends);
        let pool = Pool::builder("thumbnails").code_sync(options.code_sync);
        let pool = match options.backend {
            BackendKind::Process => pool,
            BackendKind::Docker => {
                // Containers reach this process at the gateway of their network.
                let backend = self.docker.clone().unwrap_or_else(Docker::from_env);
                pool.listen((Ipv4Addr::UNSPECIFIED, 0).into()).backend(backend)
            }
            BackendKind::Ecs => pool.backend(ecs),
            BackendKind::Lambda => pool.backend(lambda),
            BackendKind::Burst => pool.backend(ecs).burst(lambda),
        };
        match (&self.relay, options.listen) {
            (Some(relay), _) => relay.pool(pool),
            (None, Some(address)) => pool.listen(address),
            (None, None) => pool,
        }
    }
}
