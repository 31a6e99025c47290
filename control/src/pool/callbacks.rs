//! FLAME's three callbacks, called from a task that listens to the pool's events.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flame_runner_shim::log_writer;
use tokio::sync::broadcast::{self, error::RecvError};

use super::events::PoolEvent;

pub(super) type Callback = Box<dyn Fn(&PoolEvent) + Send + Sync>;

#[derive(Default)]
pub(super) struct Callbacks {
    pub(super) grow_start: Option<Callback>,
    pub(super) grow_end: Option<Callback>,
    pub(super) shrink: Option<Callback>,
}

impl Callbacks {
    /// Listens for as long as the pool exists.
    pub(super) fn listen(self, mut events: broadcast::Receiver<PoolEvent>) {
        if self.grow_start.is_none() && self.grow_end.is_none() && self.shrink.is_none() {
            return;
        }
        tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(event) => self.call(&event),
                    Err(RecvError::Lagged(missed)) => {
                        log_writer::event(move || {
                            tracing::warn!(
                                missed,
                                "the pool's callbacks are too slow, and have missed events"
                            );
                        });
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        });
    }

    fn call(&self, event: &PoolEvent) {
        let callback = match event {
            PoolEvent::GrowStart { .. } => &self.grow_start,
            PoolEvent::GrowEnd { .. } => &self.grow_end,
            PoolEvent::Shrink { .. } | PoolEvent::RunnerLost { .. } => &self.shrink,
            _ => return,
        };
        if let Some(callback) = callback
            && catch_unwind(AssertUnwindSafe(|| callback(event))).is_err()
        {
            let event = event.clone();
            log_writer::event(move || tracing::error!(?event, "a callback of the pool panicked"));
        }
    }
}
