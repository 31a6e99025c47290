//! The network as the library uses it: sockets and listeners of one host.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use flame_link::Io;
use flame_link::simulation::{SimulatedListener, SimulatedNetwork};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{ConnectionId, Network, Side, Time};

/// The clock of a host. It differs from that of the simulation by what the host has missed.
#[derive(Debug)]
pub(crate) struct HostClock {
    start: Instant,
    /// The time of the simulation at `start`.
    offset: Mutex<Duration>,
}

impl HostClock {
    /// Must be called in the host's runtime.
    pub(crate) fn new(now: Time) -> Self {
        Self { start: Instant::now(), offset: Mutex::new(now) }
    }

    fn offset(&self) -> MutexGuard<'_, Duration> {
        self.offset.lock().expect("nothing panics with the lock")
    }

    /// The time of the simulation. Must be called in the host's runtime.
    pub(crate) fn now(&self) -> Time {
        self.start.elapsed() + *self.offset()
    }

    /// That time of the simulation on this host's clock.
    pub(crate) fn instant(&self, at: Time) -> Instant {
        self.start + at.saturating_sub(*self.offset())
    }

    /// The clock has stood still for this long.
    pub(crate) fn stood_still(&self, missed: Duration) {
        *self.offset() += missed;
    }
}

/// The network of one host.
#[derive(Clone)]
pub(crate) struct HostNetwork {
    pub(crate) address: IpAddr,
    pub(crate) clock: Arc<HostClock>,
    pub(crate) network: Arc<Mutex<Network>>,
}

impl HostNetwork {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Network> {
        self.network.lock().expect("nothing panics with the lock")
    }

    fn socket(&self, id: ConnectionId, side: Side) -> Socket {
        Socket { host: self.clone(), id, side }
    }

    /// Delivers what arrives at this host, until a time of the simulation.
    pub(crate) async fn run_until(&self, end: Time) {
        loop {
            let next = self.lock().next_arrival(self.address).filter(|next| *next < end);
            tokio::time::sleep_until(self.clock.instant(next.unwrap_or(end))).await;
            match next {
                Some(next) => self.lock().deliver(self.address, next),
                None => return,
            }
        }
    }

    pub(crate) async fn open(&self, to: SocketAddr) -> io::Result<Socket> {
        let id = self.lock().open(self.clock.now(), self.address, to);
        // Closes the connection if the future is dropped.
        let socket = self.socket(id, Side::Client);
        poll_fn(|cx| self.lock().poll_open(cx, id)).await?;
        Ok(socket)
    }

    pub(crate) fn bind(&self, port: u16) -> io::Result<Listener> {
        let address = SocketAddr::new(self.address, port);
        self.lock().listen(address)?;
        Ok(Listener { host: self.clone(), address })
    }
}

impl SimulatedNetwork for HostNetwork {
    fn connect(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Io>> {
        let (network, address) = (self.clone(), host.parse::<IpAddr>());
        Box::pin(async move {
            let address = address.map_err(io::Error::other)?;
            network.open(SocketAddr::new(address, port)).await.map(Io::new)
        })
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn SimulatedListener>> {
        Ok(Box::new(self.bind(address.port())?))
    }
}

/// Accepts connections until it is dropped.
pub(crate) struct Listener {
    host: HostNetwork,
    address: SocketAddr,
}

impl Listener {
    pub(crate) async fn accept(&self) -> (Socket, SocketAddr) {
        let (id, peer) = poll_fn(|cx| self.host.lock().poll_accept(cx, self.address)).await;
        (self.host.socket(id, Side::Server), peer)
    }
}

impl SimulatedListener for Listener {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<(Io, SocketAddr)>> {
        Box::pin(async {
            let (socket, peer) = Listener::accept(self).await;
            Ok((Io::new(socket), peer))
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let now = self.host.clock.now();
        self.host.lock().unlisten(now, self.address);
    }
}

/// One end of a connection. Dropping it closes the end.
pub(crate) struct Socket {
    host: HostNetwork,
    id: ConnectionId,
    side: Side,
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let now = self.host.clock.now();
        self.host.lock().poll_read(now, cx, self.id, self.side, |bytes| {
            let len = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..len]);
            len
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = self.host.clock.now();
        self.host.lock().poll_write(now, cx, self.id, self.side, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = self.host.clock.now();
        self.host.lock().finish(now, self.id, self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let now = self.host.clock.now();
        self.host.lock().close(now, self.id, self.side);
    }
}
