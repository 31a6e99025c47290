//! One pool over two backends: a second one serves at once what the first has no slot for yet.
//!
//! ```text
//!                      ┌─ a slot is free ────────────────▶ first backend
//! call ── which way? ──┤─ none yet, and it can end there ─▶ burst backend
//!                      └─ else ──────────────────────────▶ waits for the first
//!
//! calls on the burst backend are owed boots on the first: see `Event::Elsewhere`
//! ```
//!
//! So a demand that comes suddenly is served by what boots fast, while what is cheaper, and lasts,
//! boots; then new calls go there, and the burst's runners are idle and end. A call stays where it
//! began.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::driver::Shared;
use super::state::Room;

/// The second backend of a pool.
pub(crate) struct Burst {
    pub(crate) pool: Arc<Shared>,
    pub(crate) policy: Policy,
}

/// Which way a call goes; knows no more than what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// What the burst's runners can end in time, on a fresh one; `None`: everything.
    pub(crate) longest: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    First,
    Burst,
}

impl Policy {
    /// The way of a call that has no free slot with the first backend. It takes `work` at most;
    /// `None` is not known, and may be for ever.
    pub(crate) fn way(self, work: Option<Duration>, burst: Room) -> Way {
        let ends_there = match (self.longest, work) {
            (None, _) => true,
            (Some(longest), Some(work)) => work <= longest,
            (Some(_), None) => false,
        };
        if ends_there && burst != Room::Full { Way::Burst } else { Way::First }
    }
}

/// A call that is served by the burst backend; the first owes it a boot while this lives.
pub(crate) struct Elsewhere(Weak<Shared>);

impl Elsewhere {
    pub(super) fn begin(first: Weak<Shared>) -> Self {
        if let Some(first) = first.upgrade() {
            first.count_elsewhere(|calls| calls + 1);
        }
        Self(first)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some(first) = self.0.upgrade() {
            first.count_elsewhere(|calls| calls.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const LAMBDA: Policy = Policy { longest: Some(Duration::from_secs(15 * 60)) };

    #[test]
    fn what_can_end_on_the_burst_backend_goes_there_while_it_has_room() {
        for room in [Room::Slot, Room::Boot] {
            assert_eq!(LAMBDA.way(Some(MINUTE), room), Way::Burst);
        }
        assert_eq!(LAMBDA.way(Some(MINUTE), Room::Full), Way::First);
    }

    #[test]
    fn what_could_be_cut_off_there_waits_for_the_first_backend() {
        assert_eq!(LAMBDA.way(Some(16 * MINUTE), Room::Slot), Way::First);
        assert_eq!(LAMBDA.way(None, Room::Slot), Way::First, "it may take for ever");
    }

    #[test]
    fn a_burst_backend_whose_instances_last_takes_everything() {
        let lasts = Policy { longest: None };
        assert_eq!(lasts.way(None, Room::Boot), Way::Burst);
    }
}
