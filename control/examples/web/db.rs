//! A stand-in for the app's database: a handle that is cheap to clone and dear to make.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A connection pool, as any database client has one. It never crosses to another process: each
/// process makes its own, and a `#[state]` parameter finds the one that is there.
#[derive(Clone)]
pub(crate) struct Db {
    connections: u32,
    drawn: Arc<AtomicU64>,
}

impl Db {
    /// Connects. Nothing is really dialled, but the signature is that of a client that would.
    pub(crate) async fn connect(connections: u32) -> anyhow::Result<Self> {
        anyhow::ensure!(connections > 0, "a database pool needs at least one connection");
        Ok(Self { connections, drawn: Arc::default() })
    }

    /// Records a drawing; says how many this process has recorded.
    pub(crate) fn record_drawing(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The size of this process's pool of connections.
    pub(crate) fn connections(&self) -> u32 {
        self.connections
    }
}
