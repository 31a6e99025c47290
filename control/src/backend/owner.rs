//! Whose a container or a machine is, as its tags say.

use flame_wire::ids::RunnerRef;

use super::place::Place;
use super::sweep::{ENDS_BY_TAG, PARENT_TAG, POOL_TAG, RUNNER_TAG, new_parent_id};
use super::{BackendError, PoolInfo};

/// The [place](Place) of the parent.
pub(super) const PLACE_TAG: &str = "flame:parent-place";

/// A pool, and the parent that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pool: String,
    /// The parent's id: a new one for each start of a pool.
    pub(super) parent: String,
    /// The parent's [place](Place), encoded.
    pub(super) place: Option<String>,
}

impl Owner {
    /// A new start of this pool, in the process at this place.
    pub(super) fn new(pool: &PoolInfo, me: &Place) -> Result<Self, BackendError> {
        Ok(Self { pool: pool.name.clone(), parent: new_parent_id()?, place: me.encode() })
    }

    /// The tags of a runner's instance, by their names. `ends_by` is the Unix time by which the
    /// runner must have ended.
    pub(super) fn tags(
        &self,
        runner: RunnerRef,
        ends_by: Option<i64>,
    ) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let tags = [
            (POOL_TAG, Some(self.pool.clone())),
            (RUNNER_TAG, Some(runner.to_string())),
            (PARENT_TAG, Some(self.parent.clone())),
            (PLACE_TAG, self.place.clone()),
            (ENDS_BY_TAG, ends_by.map(|ends_by| ends_by.to_string())),
        ];
        tags.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}
