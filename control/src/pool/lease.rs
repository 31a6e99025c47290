//! One slot on one runner, held for the life of one work.

use std::fmt;
use std::sync::Arc;

use flame_link::Link;
use flame_wire::ids::RunnerRef;

use super::burst::Elsewhere;
use super::driver::Shared;
use super::state::{Event, LeaseId};

/// A slot; dropping it gives it back.
#[must_use = "a lease that is dropped is given back"]
pub(crate) struct Lease {
    pool: Arc<Shared>,
    lease: LeaseId,
    name: RunnerRef,
    link: Link,
    /// Dropped after the slot is given back.
    _elsewhere: Option<Elsewhere>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("lease", &self.lease).field("runner", &self.name).finish()
    }
}

impl Lease {
    pub(crate) fn new(pool: Arc<Shared>, lease: LeaseId, name: RunnerRef, link: Link) -> Self {
        Self { pool, lease, name, link, _elsewhere: None }
    }

    /// The same, as a slot of the burst backend.
    pub(super) fn elsewhere(self, elsewhere: Elsewhere) -> Self {
        let mut lease = self;
        lease._elsewhere = Some(elsewhere);
        lease
    }

    pub(crate) fn runner(&self) -> RunnerRef {
        self.name
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.handle(Event::CheckIn { lease: self.lease });
    }
}
