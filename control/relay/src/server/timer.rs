//! Reports to the state machine that its next timeout is due.

use std::sync::Arc;

use tokio::time::sleep_until;

use super::shared::Shared;

pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let Some(next) = shared.next_timeout() else {
            shared.timeout_moved().await;
            continue;
        };
        tokio::select! {
            () = sleep_until(next) => shared.handle_timeout(),
            () = shared.timeout_moved() => {}
        }
    }
}
