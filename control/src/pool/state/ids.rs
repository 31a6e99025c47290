//! The names by which the pool's core knows the world: plain numbers, never reused.

use std::fmt;

/// One runner, from the decision to boot it until it is gone. Given by the state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct RunnerId(pub(crate) u64);

/// One slot on one runner, from [`Grant`](super::Action::Grant) to
/// [`CheckIn`](super::Event::CheckIn). Given by the state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct LeaseId(pub(crate) u64);

/// One caller that asks for a slot. Given by the driver, for each checkout a higher one than before:
/// callers are served in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct WaiterId(pub(crate) u64);

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r-{}", self.0)
    }
}
