//! The pairs that are open, and what each of them has forwarded.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flame_wire::ids::RunnerRef;
use flame_wire::sync::Mutex;
use flame_wire::time::millis;
use tokio::time::Instant;

use super::Peer;
use crate::core::{ConnectionId, Rows};
use crate::totals::{Totals, Traffic};

/// The pairs that are open, by the connections of their runners.
#[derive(Clone, Default)]
pub(crate) struct PairTable(Arc<Mutex<BTreeMap<ConnectionId, Arc<OpenPair>>>>);

/// A pair that is open.
pub(crate) struct OpenPair {
    pub(crate) ends: PairEnds,
    /// When the pair was connected.
    pub(crate) since: Instant,
    pub(crate) traffic: Traffic,
    /// When the last message passed, in milliseconds after `since`.
    last_message_ms: AtomicU64,
}

/// The two clients of a pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairEnds {
    /// The runner's connection.
    pub(crate) id: ConnectionId,
    pub(crate) runner: RunnerRef,
    pub(crate) runner_address: IpAddr,
    pub(crate) parent_address: IpAddr,
}

/// The place of a pair in the table. The pair leaves the table when this value is dropped.
pub(crate) struct PairEntry {
    table: PairTable,
    pair: Arc<OpenPair>,
    totals: Arc<Totals>,
}

impl PairTable {
    pub(crate) fn enter(&self, ends: PairEnds, totals: Arc<Totals>) -> PairEntry {
        let pair = Arc::new(OpenPair {
            ends,
            since: Instant::now(),
            traffic: Traffic::default(),
            last_message_ms: AtomicU64::new(0),
        });
        self.0.lock().insert(ends.id, pair.clone());
        PairEntry { table: self.clone(), pair, totals }
    }

    /// At most `max_rows` pairs, the latest first.
    pub(crate) fn latest(&self, max_rows: usize) -> Rows<Arc<OpenPair>> {
        let open = self.0.lock();
        let rows = open.values().rev().take(max_rows).cloned().collect();
        Rows { rows, total: open.len() }
    }
}

impl OpenPair {
    /// When the last message passed, to the millisecond.
    pub(crate) fn last_message(&self) -> Instant {
        let ms = self.last_message_ms.load(Ordering::Relaxed);
        self.since + std::time::Duration::from_millis(ms)
    }
}

impl PairEntry {
    /// Bytes of messages were forwarded.
    pub(crate) fn forwarded(&self, now: Instant, receiver: Peer, bytes: u64) {
        self.totals.bytes.add(receiver, bytes);
        self.pair.traffic.add(receiver, bytes);
        let ms = millis(now.saturating_duration_since(self.pair.since));
        self.pair.last_message_ms.store(ms, Ordering::Relaxed);
    }
}

impl Drop for PairEntry {
    fn drop(&mut self) {
        self.table.0.lock().remove(&self.pair.ends.id);
    }
}
