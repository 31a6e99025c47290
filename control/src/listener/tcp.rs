//! The sockets that clients open over TCP.
//!
//! Pools that listen on the same address share one [`TcpSource`]. It ends with the last of them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use flame_link::SocketListener;
use flame_runner_shim::log_writer;
use flame_wire::sync::Mutex;
use futures_util::{Stream, stream};
use tokio::task::JoinSet;

use super::{Listener, NewSocket};

/// How long to pause after an error of `accept`, such as a lack of file descriptors.
const OUT_OF_SOCKETS_PAUSE: Duration = Duration::from_millis(100);

/// A TCP socket on which a listener accepts connections until the source is dropped.
#[derive(Debug)]
pub(crate) struct TcpSource {
    local_address: SocketAddr,
    /// The task that accepts connections. Dropping the set aborts it.
    _accepting: JoinSet<()>,
}

/// The TCP sources of a listener.
#[derive(Default)]
pub(super) struct TcpSources(Mutex<Vec<TcpSourceEntry>>);

struct TcpSourceEntry {
    /// The address as the first pool has written it, perhaps with port 0.
    listen: SocketAddr,
    local_address: SocketAddr,
    source: Weak<TcpSource>,
    /// Stays open for a moment after the source is dropped, until its task has ended.
    socket: Weak<SocketListener>,
}

impl TcpSourceEntry {
    fn is_for(&self, address: SocketAddr) -> bool {
        self.listen == address || self.local_address == address
    }
}

impl TcpSource {
    /// The address, with the port that the system has chosen if it was 0.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.local_address
    }
}

impl Listener {
    /// Accepts connections on `address`. Callers that pass the same address get the same source.
    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<Arc<TcpSource>> {
        let mut entries = self.shared.tcp.0.lock();
        entries.retain(|entry| entry.socket.strong_count() > 0);
        for entry in entries.iter_mut().filter(|entry| entry.is_for(address)) {
            if let Some(source) = entry.source.upgrade() {
                return Ok(source);
            }
            if let Some(socket) = entry.socket.upgrade() {
                let source = Arc::new(self.accept_from(socket, entry.local_address));
                entry.source = Arc::downgrade(&source);
                return Ok(source);
            }
        }
        let socket = Arc::new(SocketListener::bind(address)?);
        let local_address = socket.local_address()?;
        let weak_socket = Arc::downgrade(&socket);
        let source = Arc::new(self.accept_from(socket, local_address));
        entries.push(TcpSourceEntry {
            listen: address,
            local_address,
            source: Arc::downgrade(&source),
            socket: weak_socket,
        });
        Ok(source)
    }

    fn accept_from(&self, socket: Arc<SocketListener>, local_address: SocketAddr) -> TcpSource {
        let mut accepting = JoinSet::new();
        accepting.spawn(self.clone().serve(tcp_sockets(socket)));
        TcpSource { local_address, _accepting: accepting }
    }
}

/// The connections that clients open to `listener`.
fn tcp_sockets(listener: Arc<SocketListener>) -> impl Stream<Item = NewSocket> {
    stream::unfold(listener, |listener| async move {
        let socket = accept(&listener).await;
        Some((socket, listener))
    })
}

async fn accept(listener: &SocketListener) -> NewSocket {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return NewSocket::Tcp(socket),
            Err(error) => {
                log_writer::event(move || {
                    tracing::warn!(%error, "cannot accept a connection from a runner; retrying");
                });
                tokio::time::sleep(OUT_OF_SOCKETS_PAUSE).await;
            }
        }
    }
}
