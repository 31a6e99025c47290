//! Waits for what a pool tells.

use flame_aws::{Events, Pool, PoolEvent};

/// A pool's events from the moment it was made: those that came are kept.
#[derive(Debug)]
pub struct Watcher {
    events: Events,
    /// All that have been seen, in order.
    pub seen: Vec<PoolEvent>,
}

impl Watcher {
    /// Listens from now on.
    #[must_use]
    pub fn new(pool: &Pool) -> Self {
        Self { events: pool.events(), seen: Vec::new() }
    }

    /// Waits for the first event, of those not waited for yet, that is it.
    pub async fn next<T>(&mut self, mut it: impl FnMut(&PoolEvent) -> Option<T>) -> T {
        loop {
            let event = self.events.next().await.expect("the pool is there");
            let event = event.expect("the test is faster than the pool's events");
            let found = it(&event);
            self.seen.push(event);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// Waits until a runner is lost; how many calls were on it.
    pub async fn lost(&mut self) -> usize {
        self.next(|event| match event {
            PoolEvent::RunnerLost { calls, .. } => Some(*calls),
            _ => None,
        })
        .await
    }

    /// Waits until a runner is up.
    pub async fn up(&mut self) {
        self.next(|event| matches!(event, PoolEvent::GrowEnd { up: true, .. }).then_some(())).await;
    }

    /// Takes what is left, until the pool has drained.
    pub async fn drained(&mut self) {
        self.next(|event| matches!(event, PoolEvent::Drained).then_some(())).await;
    }
}
