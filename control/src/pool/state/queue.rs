//! The calls that wait for a slot: first come, first served.
//!
//! Invariant: both collections hold the same waiters. A waiter that cancels, or whose deadline
//! passes, is removed from both at once, wherever it is in the queue: there are no tombstones to
//! skip.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::ids::WaiterId;

/// A FIFO queue with removal from the middle; every operation is O(log n) in the number of waiters.
#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    /// In the order of arrival, since later waiters have higher ids.
    by_arrival: BTreeMap<WaiterId, Waiter>,
    deadlines: BTreeSet<(Instant, WaiterId)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    deadline: Option<Instant>,
    /// Whether the deadline bounds its work as well.
    bounds_work: bool,
}

impl WaitQueue {
    pub(super) fn len(&self) -> usize {
        self.by_arrival.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_arrival.is_empty()
    }

    pub(super) fn contains(&self, waiter: WaiterId) -> bool {
        self.by_arrival.contains_key(&waiter)
    }

    /// Adds a waiter that is not queued.
    pub(super) fn push(&mut self, waiter: WaiterId, deadline: Option<Instant>, bounds_work: bool) {
        self.by_arrival.insert(waiter, Waiter { deadline, bounds_work });
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, waiter));
        }
    }

    /// The waiter that has waited longest, and when its work is over, if that is known.
    pub(super) fn first(&self) -> Option<(WaiterId, Option<Instant>)> {
        let (&waiter, first) = self.by_arrival.first_key_value()?;
        Some((waiter, first.deadline.filter(|_| first.bounds_work)))
    }

    /// Removes the waiter that has waited longest.
    pub(super) fn pop(&mut self) -> Option<WaiterId> {
        let (&waiter, _) = self.by_arrival.first_key_value()?;
        self.cancel(waiter);
        Some(waiter)
    }

    /// Removes a waiter whose deadline is not after `now`, the earliest deadline first.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<WaiterId> {
        let &(deadline, waiter) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.cancel(waiter);
        Some(waiter)
    }

    /// Removes this waiter, wherever it is in the queue.
    pub(super) fn cancel(&mut self, waiter: WaiterId) {
        if let Some(Waiter { deadline: Some(deadline), .. }) = self.by_arrival.remove(&waiter) {
            self.deadlines.remove(&(deadline, waiter));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }
}
