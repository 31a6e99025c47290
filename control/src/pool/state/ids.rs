//! The ids that the pool's state machine uses: plain numbers, never reused.

use std::fmt;

/// One runner, from the decision to boot it until it is gone. Assigned by the state machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct RunnerId(pub(crate) u64);

/// One slot on one runner, from [`Grant`](super::Action::Grant) to
/// [`CheckIn`](super::Event::CheckIn). Assigned by the state machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct LeaseId(pub(crate) u64);

/// One caller that asks for a slot. Assigned by the driver, in ascending order: callers are served
/// in the order of their ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct WaiterId(pub(crate) u64);

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r-{}", self.0)
    }
}
