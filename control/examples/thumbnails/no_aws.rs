//! Stands in for `aws.rs` in builds without the AWS backends. The AWS SDKs take minutes to build,
//! and nobody should wait for them to see child processes work.

use flame_aws::{Pool, PoolBuilder};

use crate::options::Options;

/// Whether this program was built with the AWS backends.
pub(crate) const IS_AVAILABLE: bool = false;

pub(crate) struct Aws;

impl Aws {
    pub(crate) async fn start(_: &Options) -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// A pool whose runners are child processes of this process.
    pub(crate) fn pool(&self, options: &Options) -> PoolBuilder {
        let pool = Pool::builder("thumbnails");
        match options.listen {
            Some(address) => pool.listen(address),
            None => pool,
        }
    }
}
