//! The driver: accepts connections, and carries out what [`RelayState`](crate::core::RelayState)
//! decides.
//!
//! ```text
//! accept ─▶ handshakes ─▶ TLS, HTTP head ─▶ requests ─┬─▶ /v1/parent   control, one task
//!           (bounded)      (time limit)               ├─▶ /v1/runner   waits for its parent
//!                                                     └─▶ /v1/socket   pair, one task
//! ```
//!
//! `/metrics` may have an address of its own (`metrics_server.rs`), where the relay's page is as well
//! (`page.rs`).
//!
//! A connection serves one request. Until the request is admitted, the connection counts as a
//! handshake, and a newer one may replace it. From then on it counts against the limits of
//! `RelayState`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::config::Config;
use crate::keys::KeyRing;
use crate::metrics::Metrics;
use crate::socket::{ByteStream, Socket};
use crate::tls::TlsFiles;
use shared::Shared;

mod connection;
mod control;
mod handshakes;
mod http;
mod metrics_server;
mod page;
mod pairing;
mod reload;
mod shared;
mod timer;
mod upgrade;

/// How many connections may wait to be accepted; the kernel drops more of them. After a restart of
/// the relay, all of its runners and parents connect again within a moment.
const BACKLOG: u32 = 4096;
/// The pause after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A relay that listens.
pub struct Relay {
    connections: Connections,
    /// Where `/metrics` and the page are served, if they have an address of their own.
    metrics: Option<TcpListener>,
    shared: Arc<Shared>,
}

/// Where the connections of clients come from.
enum Connections {
    Tcp(TcpListener),
    /// A simulated network.
    Simulated(mpsc::Receiver<(Socket, SocketAddr)>),
}

/// Stops a relay, and reads its metrics. Clones belong to the same relay.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

/// The relay could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address of [`Config`] is in use, or may not be used.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate or its key can't be used.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsFilesError),
    /// The metrics could not be set up.
    #[error("the metrics could not be set up")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The operating system provides no random bytes.
    #[error(transparent)]
    NoEntropy(#[from] flame_wire::error::NoEntropy),
}

impl Relay {
    /// Listens at the configured address.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let bind =
            |address| listen(address).map_err(|source| StartError::Listen { address, source });
        let listener = bind(config.listen)?;
        let metrics = config.metrics_listen.map(bind).transpose()?;
        Self::new(config, Connections::Tcp(listener), metrics)
    }

    /// Serves the connections of a simulated network, for tests.
    ///
    /// # Errors
    /// [`StartError`].
    #[doc(hidden)]
    pub fn simulated(
        config: Config,
        connections: mpsc::Receiver<(Box<dyn ByteStream>, SocketAddr)>,
    ) -> Result<Self, StartError> {
        Self::new(config, Connections::Simulated(connections), None)
    }

    fn new(
        config: Config,
        connections: Connections,
        metrics: Option<TcpListener>,
    ) -> Result<Self, StartError> {
        let config = config.bounded();
        let tls = config.tls.clone().map(TlsFiles::load).transpose()?;
        let keys = KeyRing::new(&config.keys);
        let shared = Shared::new(config, keys, tls, Metrics::new()?)?;
        Ok(Self { connections, metrics, shared: Arc::new(shared) })
    }

    /// The address at which the relay listens.
    ///
    /// # Errors
    /// [`io::Error`] of the operating system.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.connections {
            Connections::Tcp(listener) => listener.local_addr(),
            Connections::Simulated(_) => Ok(self.shared.config.listen),
        }
    }

    /// The address at which the relay serves `/metrics` and its page, if they have an address of their
    /// own.
    ///
    /// # Errors
    /// [`io::Error`] of the operating system.
    pub fn metrics_address(&self) -> Option<io::Result<SocketAddr>> {
        self.metrics.as_ref().map(TcpListener::local_addr)
    }

    /// Stops this relay, from another task.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.shared.clone())
    }

    /// Serves until a [`Stopper`] has stopped the relay, and then until all connections have ended
    /// or the drain time is over. If the future is dropped, the relay accepts no more connections;
    /// those that are open stay open.
    pub async fn run(self) {
        let Self { connections, metrics, shared } = self;
        let mut background = JoinSet::new();
        background.spawn(timer::run(shared.clone()));
        background.spawn(reload::run(shared.clone()));
        background.spawn(accept(connections, shared.clone()));
        if let Some(listener) = metrics {
            background.spawn(metrics_server::run(listener, shared.clone()));
        }
        shared.drained().await;
    }
}

impl Stopper {
    /// Begins to drain: the relay admits no connection from now on, and tells its parents. After
    /// the drain time it closes all connections.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// The metrics as Prometheus reads them, also after the relay has ended.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.0.render_metrics()
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // On Unix it lets a relay listen where connections of its predecessor are still in TIME_WAIT. On
    // Windows it would let two relays share a port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(mut connections: Connections, shared: Arc<Shared>) {
    loop {
        match connections.accept().await {
            Ok((socket, peer)) => start_connection(socket, peer, &shared),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                sleep_until(Instant::now() + ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Connections {
    async fn accept(&mut self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Connections::Tcp(listener) => {
                let (tcp, peer) = listener.accept().await?;
                let _ = tcp.set_nodelay(true);
                Ok((Box::new(tcp), peer))
            }
            Connections::Simulated(connections) => match connections.recv().await {
                Some(connection) => Ok(connection),
                None => std::future::pending().await,
            },
        }
    }
}

fn start_connection(socket: Socket, peer: SocketAddr, shared: &Arc<Shared>) {
    let shared = shared.clone();
    let handshake = shared.handshakes.reserve();
    let task = tokio::spawn(connection::serve(shared.clone(), socket, peer, handshake.clone()));
    if let Some(evicted) = shared.handshakes.enter(&handshake, task.abort_handle()) {
        evicted.abort();
        shared.metrics.handshake_failed("evicted");
    }
}
