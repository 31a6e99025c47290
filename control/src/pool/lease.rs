//! A slot on a runner of a pool, held for the duration of one call.

use flame_link::Link;
use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;

use super::burst::BurstCall;
use super::lane::{LaneLease, LaneRole};

/// A slot on a runner of either lane. Dropping it frees the slot.
#[derive(Debug)]
#[must_use = "dropping a lease frees its slot"]
pub(crate) struct Lease {
    slot: LaneLease,
    /// On the burst lane; ends after the slot is free.
    burst_call: Option<BurstCall>,
}

impl Lease {
    pub(super) fn primary(slot: LaneLease) -> Self {
        Self { slot, burst_call: None }
    }

    pub(super) fn burst(slot: LaneLease, burst_call: BurstCall) -> Self {
        Self { slot, burst_call: Some(burst_call) }
    }

    /// The lane of the slot.
    pub(crate) fn lane(&self) -> LaneRole {
        if self.burst_call.is_some() { LaneRole::Burst } else { LaneRole::Primary }
    }

    pub(crate) fn runner(&self) -> RunnerRef {
        self.slot.runner()
    }

    pub(crate) fn link(&self) -> &Link {
        self.slot.link()
    }

    /// The trace of the boot that the call has waited for, if it has waited for one.
    pub(crate) fn boot(&self) -> Option<TraceContext> {
        self.slot.boot()
    }
}
