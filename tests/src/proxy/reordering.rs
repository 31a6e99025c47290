//! Connections that are opened in another order than that in which they arrived.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a connection waits for a later one.
const LIMIT: Duration = Duration::from_millis(500);

/// The connection that waits for a later one, if there is any.
#[derive(Debug, Default)]
pub(super) struct Reordering {
    waiting: Mutex<Option<oneshot::Sender<()>>>,
}

/// When a connection may be opened.
#[derive(Debug)]
pub(super) enum Turn {
    /// After a later connection, which drops the sender.
    Later(oneshot::Receiver<()>),
    /// At once. The earlier connection may be opened when the sender is dropped.
    Now { _earlier: oneshot::Sender<()> },
}

impl Reordering {
    /// A connection has arrived.
    pub(super) fn arrive(&self) -> Turn {
        let mut waiting = self.waiting.lock().expect("nothing panics with the lock");
        match waiting.take() {
            Some(earlier) if !earlier.is_closed() => Turn::Now { _earlier: earlier },
            _ => {
                let (sender, later) = oneshot::channel();
                *waiting = Some(sender);
                Turn::Later(later)
            }
        }
    }
}

impl Turn {
    /// Waits until the connection may be opened, at most for [`LIMIT`].
    pub(super) async fn wait(&mut self) {
        if let Turn::Later(later) = self {
            let _ = timeout(LIMIT, later).await;
        }
    }
}
