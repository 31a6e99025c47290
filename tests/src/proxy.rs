//! A proxy between two processes that behaves like a bad network.
//!
//! ```text
//! runner ──▶ proxy (the pool's `advertise`)      ──▶ the pool's listener (`listen`)
//! runner ──▶ proxy (the relay's `--address`)     ──▶ relay
//! parent ──▶ proxy (the URL of the pool's relay) ──▶ relay
//! ```
//!
//! Its [`Network`] can change at any time, and the change applies to open connections, too. All
//! random decisions come from a seed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod budget;
mod clients;
mod forward;
mod network;
mod pools;
mod reordering;
#[cfg(test)]
mod tests;

pub use network::{Direction, Network};
pub use pools::{at_free_address, free_address, pool_behind};

use clients::Clients;
use reordering::Reordering;

/// A running proxy. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<ProxyState>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct ProxyState {
    to: SocketAddr,
    clients: Clients,
    /// The number of changes so far, and the network now.
    network: watch::Sender<(u64, Network)>,
    random: Mutex<StdRng>,
    reordering: Reordering,
    opened: AtomicUsize,
    ended: AtomicUsize,
    /// How many bytes clients have sent to the server.
    sent: AtomicU64,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.set(Network::Down);
    }
}

impl Proxy {
    /// Starts a proxy in front of the server at `to`.
    pub async fn start(to: SocketAddr, seed: u64) -> Self {
        Self::start_for(Clients::All, to, seed).await
    }

    /// Starts a proxy in front of a relay that lets only runners through, as a relay's address in a
    /// private network does.
    pub async fn for_runners(relay: SocketAddr, seed: u64) -> Self {
        Self::start_for(Clients::Runners, relay, seed).await
    }

    /// Starts a proxy in front of a relay that lets only parents through.
    pub async fn for_parents(relay: SocketAddr, seed: u64) -> Self {
        Self::start_for(Clients::Parents, relay, seed).await
    }

    async fn start_for(clients: Clients, to: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the proxy");
        let address = listener.local_addr().expect("the listener is bound");
        let state = Arc::new(ProxyState {
            to,
            clients,
            network: watch::Sender::new((0, Network::Normal)),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            reordering: Reordering::default(),
            opened: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Here, and not in the connection's task: tasks may start in any order.
                let is_reordered = shared.network.borrow().1 == Network::Reordered;
                let turn = is_reordered.then(|| shared.reordering.arrive());
                tokio::spawn(forward::forward(shared.clone(), client, turn));
            }
        });
        Self { address, state, task }
    }

    /// Changes the network.
    pub fn set(&self, network: Network) {
        self.state.network.send_modify(|(changes, now)| {
            *changes += 1;
            *now = network;
        });
    }

    /// How many connections were opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.opened.load(Ordering::SeqCst)
    }

    /// How many connections have ended so far.
    #[must_use]
    pub fn ended_connections(&self) -> usize {
        self.state.ended.load(Ordering::SeqCst)
    }

    /// How many bytes have passed from clients to the server so far.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// The URL at which clients reach the proxy.
    #[must_use]
    pub fn address(&self) -> String {
        format!("ws://{}", self.address)
    }
}

impl ProxyState {
    fn random(&self) -> MutexGuard<'_, StdRng> {
        self.random.lock().expect("nothing panics with the lock")
    }
}
