//! A slot on a runner, held for the duration of one call.

use std::fmt;
use std::sync::Arc;

use flame_link::Link;
use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;

use crate::backend::BootFailure;
use crate::pool::state::{self, LeaseId};

/// The answer to a call that asks for a slot.
pub(super) type CheckoutResult = Result<LaneLease, CheckoutError>;

/// Why a call gets no slot.
pub(crate) type CheckoutError = state::CheckoutError<Arc<BootFailure>>;

/// Grants leases, and takes them back.
pub(super) trait LeaseOwner: Send + Sync {
    fn check_in(&self, lease: LeaseId);
}

/// A slot on a runner of a lane. Dropping it frees the slot.
#[must_use = "dropping a lease frees its slot"]
pub(crate) struct LaneLease {
    owner: Arc<dyn LeaseOwner>,
    id: LeaseId,
    runner: RunnerRef,
    link: Link,
    boot: Option<TraceContext>,
}

impl fmt::Debug for LaneLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneLease").field("id", &self.id).field("runner", &self.runner).finish()
    }
}

impl LaneLease {
    pub(super) fn new(
        owner: Arc<dyn LeaseOwner>,
        id: LeaseId,
        runner: RunnerRef,
        link: Link,
        boot: Option<TraceContext>,
    ) -> Self {
        Self { owner, id, runner, link, boot }
    }

    pub(crate) fn runner(&self) -> RunnerRef {
        self.runner
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The trace of the boot that the call has waited for, if it has waited for one.
    pub(crate) fn boot(&self) -> Option<TraceContext> {
        self.boot
    }
}

impl Drop for LaneLease {
    fn drop(&mut self) {
        self.owner.check_in(self.id);
    }
}
