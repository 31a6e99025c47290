//! Opening and accepting connections: over TCP, unless a test has given its runtime a simulated
//! network.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use flame_wire::sync::Mutex;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Handle, Id};

use crate::io::Io;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A network in place of TCP.
pub trait SimulatedNetwork: Send + Sync {
    /// Opens a connection.
    fn connect(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Io>>;

    /// Accepts connections on an address of this host.
    ///
    /// # Errors
    /// [`io::Error`], as of TCP.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn SimulatedListener>>;
}

/// Accepts the connections of a simulated network.
pub trait SimulatedListener: Send + Sync {
    /// The address, with the port that the network has chosen if it was 0.
    fn local_address(&self) -> SocketAddr;

    /// The next connection, and the address of its client.
    fn accept(&self) -> BoxFuture<'_, io::Result<(Io, SocketAddr)>>;
}

/// The runtimes whose network is simulated.
static SIMULATED: Mutex<Vec<(Id, Arc<dyn SimulatedNetwork>)>> = Mutex::new(Vec::new());

/// Gives a runtime a simulated network until the value is dropped.
#[must_use = "the network is TCP again when this is dropped"]
#[derive(Debug)]
pub struct NetworkSimulation(Id);

impl NetworkSimulation {
    /// From now on, all connections of this runtime use `network`.
    pub fn start(runtime: &Handle, network: Arc<dyn SimulatedNetwork>) -> Self {
        SIMULATED.lock().push((runtime.id(), network));
        Self(runtime.id())
    }
}

impl Drop for NetworkSimulation {
    fn drop(&mut self) {
        SIMULATED.lock().retain(|(runtime, _)| *runtime != self.0);
    }
}

fn simulated() -> Option<Arc<dyn SimulatedNetwork>> {
    let runtime = Handle::try_current().ok()?.id();
    let simulated = SIMULATED.lock();
    simulated.iter().find(|(id, _)| *id == runtime).map(|(_, network)| network.clone())
}

/// Whether the network of the current runtime is simulated.
pub(crate) fn is_simulated() -> bool {
    simulated().is_some()
}

/// Opens a connection.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<Io> {
    if let Some(network) = simulated() {
        return network.connect(host, port).await;
    }
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    Ok(Io::new(tcp))
}

/// Accepts connections on an address of this host.
pub struct SocketListener(ListenerKind);

enum ListenerKind {
    Tcp(TcpListener),
    Simulated(Box<dyn SimulatedListener>),
}

impl std::fmt::Debug for SocketListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SocketListener").field(&self.local_address().ok()).finish()
    }
}

impl SocketListener {
    /// Listens on this address.
    ///
    /// # Errors
    /// [`io::Error`] of the operating system.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        if let Some(network) = simulated() {
            return Ok(Self(ListenerKind::Simulated(network.listen(address)?)));
        }
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // On Unix it lets a process listen where connections of its predecessor are still in
        // TIME_WAIT. On Windows it would let two processes share a port.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self(ListenerKind::Tcp(socket.listen(BACKLOG)?)))
    }

    /// The address, with the port that the system has chosen if it was 0.
    ///
    /// # Errors
    /// [`io::Error`] of the operating system.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            ListenerKind::Tcp(tcp) => tcp.local_addr(),
            ListenerKind::Simulated(listener) => Ok(listener.local_address()),
        }
    }

    /// The next connection, and the address of its client. Cancel-safe.
    ///
    /// # Errors
    /// [`io::Error`] of the operating system, such as a lack of file descriptors.
    pub async fn accept(&self) -> io::Result<(Io, SocketAddr)> {
        match &self.0 {
            ListenerKind::Tcp(tcp) => {
                let (tcp, peer) = tcp.accept().await?;
                // Fails only if the client has disconnected already, which its reader finds out.
                let _ = tcp.set_nodelay(true);
                Ok((Io::new(tcp), peer))
            }
            ListenerKind::Simulated(listener) => listener.accept().await,
        }
    }
}
