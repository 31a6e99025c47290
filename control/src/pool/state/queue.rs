//! The waiters, first come first served.
//!
//! Invariant: the three views hold the same waiters. One that is cancelled or past its deadline is
//! taken out of all of them at once, from wherever it stands: there are no tombstones to skip.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::ids::WaiterId;

/// A FIFO line with removal from the middle; every operation is O(log n) in waiters.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Who stands where; places only grow.
    line: BTreeMap<u64, Waiting>,
    places: BTreeMap<WaiterId, u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    next_place: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    waiter: WaiterId,
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
        self.places.contains_key(&waiter)
    }

    /// Puts a waiter, which is not in the line, at its end.
    pub(super) fn push(&mut self, waiter: WaiterId, deadline: Option<Instant>, bounded: bool) {
        let place = self.next_place;
        self.next_place += 1;
        self.line.insert(place, Waiting { waiter, deadline, bounded });
        self.places.insert(waiter, place);
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, place));
        }
    }

    /// The one who has waited longest, and when its work is over, where that is known.
    pub(super) fn first(&self) -> Option<(WaiterId, Option<Instant>)> {
        let (_, first) = self.line.first_key_value()?;
        Some((first.waiter, first.deadline.filter(|_| first.bounded)))
    }

    /// Takes the one who has waited longest.
    pub(super) fn pop(&mut self) -> Option<WaiterId> {
        let (&place, _) = self.line.first_key_value()?;
        self.take(place)
    }

    /// Takes one whose deadline is not after `now`, the earliest deadline first.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<WaiterId> {
        let &(deadline, place) = self.deadlines.first()?;
        if deadline <= now { self.take(place) } else { None }
    }

    /// Takes this waiter out, wherever it stands.
    pub(super) fn cancel(&mut self, waiter: WaiterId) {
        if let Some(&place) = self.places.get(&waiter) {
            self.take(place);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    fn take(&mut self, place: u64) -> Option<WaiterId> {
        let Waiting { waiter, deadline, .. } = self.line.remove(&place)?;
        self.places.remove(&waiter);
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, place));
        }
        Some(waiter)
    }
}
