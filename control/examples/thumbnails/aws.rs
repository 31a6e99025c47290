//! Runners on AWS: one changed line, the pool's backend.
//!
//! What the backends need to know of the account is in the environment (see
//! `flame_aws::backend::{Ecs, Lambda}`); with `--emulated` it is made in an emulator, and known.

use flame_aws::backend::{Ecs, Lambda};
use flame_aws::{Pool, PoolBuilder};

use crate::emulated::Emulator;
use crate::options::Options;
use crate::place::Place;

/// Whether this program can do that.
pub(crate) const IS_BUILT: bool = true;

/// What has to be there as long as the pool is.
pub(crate) struct Aws(Option<Emulator>);

impl Aws {
    pub(crate) async fn start(options: &Options) -> anyhow::Result<Self> {
        Ok(Self(if options.emulated { Some(Emulator::start(&options.out).await?) } else { None }))
    }

    /// A pool whose runners are there; all else is the same everywhere.
    pub(crate) fn pool(&self, options: &Options) -> PoolBuilder {
        let from_env = || (Ecs::from_env(), Lambda::from_env());
        let (ecs, lambda) = self.0.as_ref().map_or_else(from_env, Emulator::backends);
        let pool = Pool::builder("thumbnails");
        let pool = match options.place {
            Place::Process => pool,
            Place::Ecs => pool.backend(ecs),
            Place::Lambda => pool.backend(lambda),
            Place::Burst => pool.backend(ecs).burst(lambda),
        };
        match options.listen {
            Some(address) => pool.listen(address),
            None => pool,
        }
    }
}
