//! A TCP proxy whose connections can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use flame_wire::sync::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::condition::Condition;
use crate::sample::now;

/// A proxy on a thread of its own. It ends when this is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    cuts: mpsc::UnboundedSender<oneshot::Sender<Instant>>,
}

#[derive(Default)]
struct Shared {
    to: Mutex<Option<SocketAddr>>,
    /// When the first connection since the last cut was opened.
    reopened: Mutex<Option<Instant>>,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port to listen on");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("the listener's address");
        let shared = Arc::new(Shared::default());
        let (cuts, cuts_to_do) = mpsc::unbounded_channel();
        let of_thread = shared.clone();
        std::thread::spawn(move || {
            Condition::default().runtime().block_on(async {
                let listener = TcpListener::from_std(listener).expect("the listener");
                serve(listener, &of_thread, cuts_to_do).await;
            });
        });
        Self { address, shared, cuts }
    }

    /// Connections go to this address from now on.
    pub(crate) fn forward_to(&self, address: SocketAddr) {
        *self.shared.to.lock() = Some(address);
    }

    /// Cuts all connections, and returns when it began to do so. New connections are accepted.
    pub(crate) async fn cut(&self) -> Instant {
        let (done, cut) = oneshot::channel();
        self.cuts.send(done).expect("the proxy runs");
        cut.await.expect("the proxy runs")
    }

    /// When the first connection since the last cut was opened.
    pub(crate) fn reopened(&self) -> Option<Instant> {
        *self.shared.reopened.lock()
    }
}

async fn serve(
    listener: TcpListener,
    shared: &Shared,
    mut cuts: mpsc::UnboundedReceiver<oneshot::Sender<Instant>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            cut = cuts.recv() => {
                let Some(done) = cut else { return };
                let at = now();
                connections.shutdown().await;
                *shared.reopened.lock() = None;
                // The other side waits for it.
                let _ = done.send(at);
            }
            accepted = listener.accept() => {
                let (client, _) = accepted.expect("a connection");
                shared.reopened.lock().get_or_insert_with(now);
                let to = shared.to.lock().expect("the address behind the proxy is known");
                connections.spawn(forward(client, to));
            }
        }
    }
}

async fn forward(mut client: TcpStream, to: SocketAddr) {
    let mut server = TcpStream::connect(to).await.expect("the server behind the proxy");
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a socket without delay");
    }
    // Any error means that one side has closed the connection.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
