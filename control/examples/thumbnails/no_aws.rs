//! In place of `aws.rs` where the AWS backends are not built in: their SDKs take minutes to build,
//! which nobody should wait for who wants to see children work.

use flame_aws::{Pool, PoolBuilder};

use crate::options::Options;

/// Whether this program can do that.
pub(crate) const IS_BUILT: bool = false;

pub(crate) struct Aws;

impl Aws {
    pub(crate) async fn start(_: &Options) -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// A pool of children of this process.
    pub(crate) fn pool(&self, options: &Options) -> PoolBuilder {
        let pool = Pool::builder("thumbnails");
        match options.listen {
            Some(address) => pool.listen(address),
            None => pool,
        }
    }
}
