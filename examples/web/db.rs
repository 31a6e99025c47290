//! A stand-in for a database client: a handle that is cheap to clone and expensive to create.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A connection pool, like that of any database client. It is never sent to another process: each
/// process creates its own, and a `#[state]` parameter receives the one of the process it runs in.
#[derive(Clone)]
pub(crate) struct Db {
    connections: u32,
    drawn: Arc<AtomicU64>,
}

impl Db {
    /// Opens the connections. This stand-in opens none, but has the signature of a real client.
    pub(crate) async fn connect(connections: u32) -> anyhow::Result<Self> {
        anyhow::ensure!(connections > 0, "a database pool needs at least one connection");
        Ok(Self { connections, drawn: Arc::default() })
    }

    /// Records a drawing. Returns how many this process has recorded.
    pub(crate) fn record_drawing(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The number of connections of this process.
    pub(crate) fn connections(&self) -> u32 {
        self.connections
    }
}
