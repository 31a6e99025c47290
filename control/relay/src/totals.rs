//! What a relay has counted since its start, for `/metrics` and for the relay's page.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use flame_wire::sync::Mutex;

use crate::pair::Peer;

/// What a relay has counted since its start.
#[derive(Default)]
pub(crate) struct Totals {
    /// Bytes of the messages that were forwarded.
    pub(crate) bytes: Traffic,
    /// Runners that were paired with a socket of their parent.
    pub(crate) pairs: AtomicU64,
    /// Pairs that have ended.
    pub(crate) pairs_ended: Reasons,
    /// Requests that were answered with an error.
    pub(crate) refusals: Reasons,
    /// Connections that sent no valid request.
    pub(crate) handshakes_failed: Reasons,
}

/// Bytes of messages that were forwarded, by receiver.
#[derive(Default)]
pub(crate) struct Traffic {
    to_parent: AtomicU64,
    to_runner: AtomicU64,
}

impl Traffic {
    pub(crate) fn add(&self, receiver: Peer, bytes: u64) {
        self.counter(receiver).fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn to(&self, receiver: Peer) -> u64 {
        self.counter(receiver).load(Ordering::Relaxed)
    }

    fn counter(&self, receiver: Peer) -> &AtomicU64 {
        match receiver {
            Peer::Parent => &self.to_parent,
            Peer::Runner => &self.to_runner,
        }
    }
}

/// Counts by reason. The reasons are words of this crate, so their number is bounded.
#[derive(Default)]
pub(crate) struct Reasons(Mutex<BTreeMap<&'static str, u64>>);

impl Reasons {
    pub(crate) fn add(&self, reason: &'static str) {
        *self.0.lock().entry(reason).or_insert(0) += 1;
    }

    pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().iter().map(|(&reason, &count)| (reason, count)).collect()
    }
}
