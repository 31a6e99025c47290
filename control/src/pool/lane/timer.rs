//! Calls a lane's state machine when its timeout is due.

use std::sync::Arc;

use super::{Lane, now};
use crate::pool::state::Event;

/// Runs until the lane has drained. If the runtime ends first, so does the pool, because nothing
/// drives it any more.
pub(super) async fn run(lane: Arc<Lane>) {
    let _drain = DrainOnDrop(&lane);
    loop {
        let due = {
            let mut locked = lane.locked.lock();
            if locked.pool.is_drained() && locked.runners.is_empty() {
                return;
            }
            locked.timer_due = locked.pool.poll_timeout();
            locked.timer_due
        };
        let changed = lane.timer_changed.notified();
        match due {
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {
                    lane.step(|locked| locked.pool.handle_timeout(now()));
                }
                () = changed => {}
            },
            None => changed.await,
        }
    }
}

struct DrainOnDrop<'a>(&'a Lane);

impl Drop for DrainOnDrop<'_> {
    fn drop(&mut self) {
        self.0.handle(Event::DrainPool);
    }
}
