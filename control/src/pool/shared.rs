//! What the lanes of a pool share.

use tokio::task::JoinSet;

use super::events::EventSender;
use crate::listener::Listener;

/// What the lanes of a pool share: its name, its events, and the address at which runners connect.
pub(crate) struct PoolShared {
    pub(crate) name: String,
    pub(crate) events: EventSender,
    pub(crate) listener: Listener,
    /// The address that runners connect to.
    pub(crate) address: String,
    /// Where the pool's tasks run, even if a handle is used or dropped outside of a runtime.
    pub(crate) runtime: tokio::runtime::Handle,
    /// The task that accepts connections. Dropping the set aborts it.
    _accepting: JoinSet<()>,
}

impl PoolShared {
    /// `accept` accepts connections, in a task of its own, until the last lane is gone.
    pub(crate) fn new(
        name: String,
        events: EventSender,
        listener: Listener,
        address: String,
        accept: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let mut _accepting = JoinSet::new();
        _accepting.spawn(accept);
        Self { name, events, listener, address, runtime, _accepting }
    }
}
