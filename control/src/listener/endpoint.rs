//! Where the runners of a pool connect.

use std::sync::Arc;

use super::tcp::TcpSource;

/// A pool's share of a source of sockets, and the address at which the pool's runners find it.
pub(crate) struct Endpoint {
    address: String,
    _source: Arc<TcpSource>,
}

impl Endpoint {
    /// Runners connect to this process, which they find at `address`.
    pub(crate) fn tcp(source: Arc<TcpSource>, address: String) -> Self {
        Self { address, _source: source }
    }

    /// The address for FLAME_PARENT.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}
