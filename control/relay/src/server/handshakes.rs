//! The connections that are not admitted yet: a bounded number, of which the newest ones stay.
//!
//! A handshake takes a few round trips. Clients that connect and send nothing would fill any table,
//! so a new handshake replaces the oldest one: a flood of such clients has to be faster than the
//! honest ones to keep them out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flame_wire::sync::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The handshakes under way, by age.
#[derive(Clone)]
pub(super) struct Handshakes {
    max: usize,
    last: Arc<AtomicU64>,
    under_way: Arc<Mutex<BTreeMap<u64, AbortHandle>>>,
    /// How many clients are admitted whose answer is not written yet.
    answering: watch::Sender<usize>,
}

/// The place of one handshake. The last clone is dropped when the request is answered.
#[derive(Clone)]
pub(super) struct Handshake(Arc<Place>);

struct Place {
    number: u64,
    table: Handshakes,
    ended: Mutex<bool>,
}

impl Handshakes {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            last: Arc::default(),
            under_way: Arc::default(),
            answering: watch::Sender::new(0),
        }
    }

    pub(super) fn reserve(&self) -> Handshake {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        Handshake(Arc::new(Place { number, table: self.clone(), ended: Mutex::new(false) }))
    }

    /// Counts the handshake of this task. Returns the task that has to make room for it.
    pub(super) fn enter(&self, handshake: &Handshake, task: AbortHandle) -> Option<AbortHandle> {
        let mut under_way = self.under_way.lock();
        let ended = handshake.0.ended.lock();
        if *ended {
            // The task was faster than its parent.
            return None;
        }
        under_way.insert(handshake.0.number, task);
        if under_way.len() <= self.max {
            return None;
        }
        under_way.pop_first().map(|(_, oldest)| oldest)
    }

    pub(super) fn count(&self) -> usize {
        self.under_way.lock().len()
    }

    /// Waits until the answers to all clients that were admitted are written.
    pub(super) async fn answered(&self) {
        let _ = self.answering.subscribe().wait_for(|&answering| answering == 0).await;
    }
}

impl Handshake {
    /// The client is admitted: nothing may replace it from now on.
    pub(super) fn end(&self) {
        if self.0.end() {
            self.0.table.answering.send_modify(|answering| *answering += 1);
        }
    }
}

impl Place {
    /// Returns whether it had not ended.
    fn end(&self) -> bool {
        let mut under_way = self.table.under_way.lock();
        under_way.remove(&self.number);
        !std::mem::replace(&mut *self.ended.lock(), true)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.end() {
            self.table.answering.send_modify(|answering| *answering -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn task() -> AbortHandle {
        tokio::spawn(std::future::pending::<()>()).abort_handle()
    }

    #[tokio::test]
    async fn a_new_handshake_replaces_the_oldest_one() {
        let table = Handshakes::new(2);
        let (first, second, third) = (table.reserve(), table.reserve(), table.reserve());
        let oldest = task().await;
        assert!(table.enter(&first, oldest.clone()).is_none());
        assert!(table.enter(&second, task().await).is_none());
        let evicted = table.enter(&third, task().await).unwrap();
        assert_eq!(evicted.id(), oldest.id());
        assert_eq!(table.count(), 2);
    }

    #[tokio::test]
    async fn a_client_that_is_admitted_is_not_replaced() {
        let table = Handshakes::new(1);
        let (first, second) = (table.reserve(), table.reserve());
        assert!(table.enter(&first, task().await).is_none());
        first.end();
        assert!(table.enter(&second, task().await).is_none());
        drop(second);
        assert_eq!(table.count(), 0);
    }

    #[tokio::test]
    async fn a_handshake_that_ended_before_it_was_counted_is_not_counted() {
        let table = Handshakes::new(1);
        let first = table.reserve();
        first.end();
        assert!(table.enter(&first, task().await).is_none());
        assert_eq!(table.count(), 0);
    }
}
