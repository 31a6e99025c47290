//! The state that the lanes of a pool share.

use std::sync::Arc;

use flame_wire::ids::RunnerRef;

use super::events::EventSender;
use crate::admission::ExpectedRunner;
use crate::code::Code;
use crate::inbox::SocketInbox;
use crate::listener::{Endpoint, Listener};
use crate::log::PoolLog;

/// The state that the lanes of a pool share: its name, its events, and the endpoint of its runners.
pub(crate) struct PoolShared {
    pub(crate) name: String,
    pub(crate) events: EventSender,
    /// The log of its runners.
    pub(crate) log: Arc<PoolLog>,
    /// Shared with the other pools of the runtime.
    pub(crate) listener: Listener,
    pub(crate) endpoint: Endpoint,
    /// The executable for runners of another build, with `code_sync`.
    pub(crate) code: Option<Code>,
    /// The runtime of the pool's tasks, even if a handle is used or dropped outside of a runtime.
    pub(crate) runtime: tokio::runtime::Handle,
}

impl PoolShared {
    pub(crate) fn new(
        name: String,
        events: EventSender,
        listener: Listener,
        endpoint: Endpoint,
        code: Option<Code>,
    ) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let log = Arc::new(PoolLog::new(&name));
        Self { name, events, log, listener, endpoint, code, runtime }
    }

    /// A runner is about to be booted.
    pub(crate) fn expect_runner(&self, runner: RunnerRef, expected: ExpectedRunner<SocketInbox>) {
        self.listener.admission().expect(runner, expected);
        self.endpoint.register(runner);
    }

    /// The runner is gone, or its boot was given up.
    pub(crate) fn forget_runner(&self, runner: RunnerRef) {
        self.listener.admission().forget(runner);
        self.endpoint.unregister(runner);
    }
}
