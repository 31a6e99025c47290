//! Waits for a pool's events.

use flame_aws::{Events, Pool, PoolEvent};

/// Receives a pool's events from the moment it is made, and keeps those that it has received.
#[derive(Debug)]
pub struct Watcher {
    events: Events,
    /// The events received so far, in order.
    pub seen: Vec<PoolEvent>,
}

impl Watcher {
    /// Subscribes to the pool's events.
    #[must_use]
    pub fn new(pool: &Pool) -> Self {
        Self { events: pool.events(), seen: Vec::new() }
    }

    /// Receives events until `matched` returns a value for one, and returns that value.
    pub async fn next<T>(&mut self, mut matched: impl FnMut(&PoolEvent) -> Option<T>) -> T {
        loop {
            let event = self.events.next().await.expect("the pool exists");
            let event = event.expect("the test reads faster than the pool sends");
            let found = matched(&event);
            self.seen.push(event);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// Waits until a runner is lost, and returns how many calls were on it.
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

    /// Receives all events until the pool has drained.
    pub async fn drained(&mut self) {
        self.next(|event| matches!(event, PoolEvent::Drained).then_some(())).await;
    }
}
