//! The place to which the runners of a pool connect: this process, or a relay.

use std::sync::Arc;

use flame_wire::ids::RunnerRef;
use tokio::sync::watch;

use super::tcp::TcpSource;
use crate::relay::RelayClient;

/// A pool's share of a source of sockets.
pub(crate) enum Endpoint {
    /// Runners connect to this process.
    Tcp {
        /// The address at which runners find the listener.
        address: String,
        /// Kept open as long as a pool uses it.
        _source: Arc<TcpSource>,
    },
    /// Runners connect to a relay, and so does this process.
    Relay(Arc<RelayClient>),
}

/// Tells when the addresses of an endpoint change.
pub(crate) struct AddressChanges(Option<watch::Receiver<Vec<String>>>);

impl Endpoint {
    /// Runners connect to this process, which they find at `address`.
    pub(crate) fn tcp(source: Arc<TcpSource>, address: String) -> Self {
        Self::Tcp { address, _source: source }
    }

    /// The addresses at which runners find this parent, the preferred one first, without a path
    /// that depends on the runner.
    pub(crate) fn base_addresses(&self) -> Vec<String> {
        match self {
            Self::Tcp { address, .. } => vec![address.clone()],
            Self::Relay(client) => client.base_addresses(),
        }
    }

    /// The addresses for the FLAME_PARENT of a runner, the preferred one first.
    pub(crate) fn addresses(&self, runner: RunnerRef) -> Vec<String> {
        match self {
            Self::Tcp { address, .. } => vec![address.clone()],
            Self::Relay(client) => client.addresses(runner),
        }
    }

    /// Changes of the addresses from now on.
    pub(crate) fn changes(&self) -> AddressChanges {
        AddressChanges(match self {
            Self::Tcp { .. } => None,
            Self::Relay(client) => Some(client.changes()),
        })
    }

    /// A runner is about to be booted.
    pub(crate) fn register(&self, runner: RunnerRef) {
        if let Self::Relay(client) = self {
            client.register(runner);
        }
    }

    /// The runner will not connect again.
    pub(crate) fn unregister(&self, runner: RunnerRef) {
        if let Self::Relay(client) = self {
            client.unregister(runner);
        }
    }

    /// For an error: the address that a runner has to reach, and possible reasons why it did not.
    pub(crate) fn description(&self, runner: RunnerRef) -> String {
        match self {
            Self::Tcp { address, .. } => address.clone(),
            Self::Relay(client) => {
                let relays = client.base_addresses().join(" or ");
                let problem = client.problem(runner);
                let problem = problem.map(|problem| format!(", but {problem}")).unwrap_or_default();
                format!("the relay at {relays}{problem}")
            }
        }
    }
}

impl AddressChanges {
    /// Waits for the next change. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if let Some(changes) = &mut self.0
            && changes.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}
