//! The waiters, first come first served.
//!
//! Invariant: both views hold the same waiters. One that is cancelled or past its deadline is
//! taken out of both at once, from wherever it stands: there are no tombstones to skip.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::ids::WaiterId;

/// A FIFO line with removal from the middle; every operation is O(log n) in waiters.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Who has come later has the higher id.
    line: BTreeMap<WaiterId, Waiting>,
    deadlines: BTreeSet<(Instant, WaiterId)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    deadline: Option<Instant>,
    /// Whether the deadline bounds its work, too.
    bounded: bool,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    pub(super) fn contains(&self, waiter: WaiterId) -> bool {
        self.line.contains_key(&waiter)
    }

    /// Puts a waiter, which is not in the line, in its place.
    pub(super) fn push(&mut self, waiter: WaiterId, deadline: Option<Instant>, bounded: bool) {
        self.line.insert(waiter, Waiting { deadline, bounded });
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, waiter));
        }
    }

    /// The one who has waited longest, and when its work is over, where that is known.
    pub(super) fn first(&self) -> Option<(WaiterId, Option<Instant>)> {
        let (&waiter, first) = self.line.first_key_value()?;
        Some((waiter, first.deadline.filter(|_| first.bounded)))
    }

    /// Takes the one who has waited longest.
    pub(super) fn pop(&mut self) -> Option<WaiterId> {
        let (&waiter, _) = self.line.first_key_value()?;
        self.cancel(waiter);
        Some(waiter)
    }

    /// Takes one whose deadline is not after `now`, the earliest deadline first.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<WaiterId> {
        let &(deadline, waiter) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.cancel(waiter);
        Some(waiter)
    }

    /// Takes this waiter out, wherever it stands.
    pub(super) fn cancel(&mut self, waiter: WaiterId) {
        if let Some(Waiting { deadline: Some(deadline), .. }) = self.line.remove(&waiter) {
            self.deadlines.remove(&(deadline, waiter));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }
}
