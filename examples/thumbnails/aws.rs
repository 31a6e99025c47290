//! Runners on AWS: only the pool's backend differs.
//!
//! The backends read their settings from the environment (see `flame_aws::backend::{Ecs, Lambda}`).
//! With `--emulated`, this program starts an emulator, creates what it needs there, and uses that.

use flame_aws::backend::{Ecs, Lambda};
use flame_aws::{Pool, PoolBuilder};

use crate::backend_kind::BackendKind;
use crate::emulator::Emulator;
use crate::options::Options;

/// The emulator, if `--emulated` is set. It must live as long as the pool.
pub(crate) struct Aws(Option<Emulator>);

impl Aws {
    pub(crate) async fn start(options: &Options) -> anyhow::Result<Self> {
        Ok(Self(if options.emulated { Some(Emulator::start(&options.out).await?) } else { None }))
    }

    /// A pool whose runners are on AWS. All its other options are the same everywhere.
    pub(crate) fn pool(&self, options: &Options) -> PoolBuilder {
        let from_env = || (Ecs::from_env(), Lambda::from_env());
        let (ecs, lambda) = self.0.as_ref().map_or_else(from_env, Emulator::backends);
        let pool = Pool::builder("thumbnails");
        let pool = match options.backend {
            BackendKind::Process => pool,
            BackendKind::Ecs => pool.backend(ecs),
            BackendKind::Lambda => pool.backend(lambda),
            BackendKind::Burst => pool.backend(ecs).burst(lambda),
        };
        match options.listen {
            Some(address) => pool.listen(address),
            None => pool,
        }
    }
}
