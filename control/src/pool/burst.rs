//! A pool's second lane, for calls that find no free slot on the primary lane.
//!
//! ```text
//!                    ┌─ a slot is free ──────────────────▶ primary lane
//! call ── which? ────┤─ none, and the call can end there ─▶ burst lane
//!                    └─ otherwise ───────────────────────▶ waits for the primary lane
//!
//! for each call on the burst lane, the primary lane boots as for a waiter: see `Event::BurstCalls`
//! ```
//!
//! So the backend that boots fast serves a sudden demand, while the backend that is cheaper and
//! lives longer boots. New calls then go there, and the burst lane's runners become idle and end. A
//! call stays on the lane on which it began.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::lane::{Lane, now};
use super::state::SlotAvailability;

/// The burst lane of a pool.
pub(crate) struct BurstLane {
    pub(crate) lane: Arc<Lane>,
    pub(crate) policy: BurstPolicy,
}

impl BurstLane {
    /// Whether a call that found no free slot on the primary lane goes to this one. `work` is the
    /// longest time that it can take; `None` means that it is not known.
    pub(super) fn accepts(&self, work: Option<Duration>) -> bool {
        self.policy.accepts(work, self.lane.read(|state| state.availability(now())))
    }
}

/// Decides which calls go to the burst lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BurstPolicy {
    /// The longest call that a fresh runner of the burst lane can serve; `None` means any.
    pub(crate) longest_call: Option<Duration>,
}

impl BurstPolicy {
    fn accepts(self, work: Option<Duration>, availability: SlotAvailability) -> bool {
        let can_end = match (self.longest_call, work) {
            (None, _) => true,
            (Some(longest), Some(work)) => work <= longest,
            (Some(_), None) => false,
        };
        can_end && availability != SlotAvailability::Full
    }
}

/// A call on the burst lane. While it lives, the primary lane boots for it.
#[derive(Debug)]
pub(crate) struct BurstCall {
    primary: Weak<Lane>,
}

impl BurstCall {
    pub(super) fn begin(primary: &Arc<Lane>) -> Self {
        primary.change_burst_calls(|calls| calls + 1);
        Self { primary: Arc::downgrade(primary) }
    }
}

impl Drop for BurstCall {
    fn drop(&mut self) {
        if let Some(primary) = self.primary.upgrade() {
            primary.change_burst_calls(|calls| calls.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const LAMBDA: BurstPolicy = BurstPolicy { longest_call: Some(Duration::from_secs(15 * 60)) };

    #[test]
    fn a_call_that_can_end_on_the_burst_lane_goes_there_unless_it_is_full() {
        for availability in [SlotAvailability::Now, SlotAvailability::AfterBoot] {
            assert!(LAMBDA.accepts(Some(MINUTE), availability));
        }
        assert!(!LAMBDA.accepts(Some(MINUTE), SlotAvailability::Full));
    }

    #[test]
    fn a_call_that_the_burst_lane_could_cut_off_waits_for_the_primary_lane() {
        assert!(!LAMBDA.accepts(Some(16 * MINUTE), SlotAvailability::Now));
        assert!(!LAMBDA.accepts(None, SlotAvailability::Now), "the call has no time limit");
    }

    #[test]
    fn a_burst_lane_whose_instances_live_on_accepts_every_call() {
        let unlimited = BurstPolicy { longest_call: None };
        assert!(unlimited.accepts(None, SlotAvailability::AfterBoot));
    }
}
