//! The sockets that clients open over TCP.

use std::time::Duration;

use flame_link::Io;
use flame_runner_shim::log_writer;
use futures_util::{Stream, stream};
use tokio::net::TcpListener;

use super::NewSocket;

/// How long to pause after an error of `accept`, such as a lack of file descriptors.
const OUT_OF_SOCKETS_PAUSE: Duration = Duration::from_millis(100);

/// The connections that clients open to `listener`.
pub(crate) fn tcp_sockets(listener: TcpListener) -> impl Stream<Item = NewSocket> {
    stream::unfold(listener, |listener| async move {
        let socket = accept(&listener).await;
        Some((socket, listener))
    })
}

async fn accept(listener: &TcpListener) -> NewSocket {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => match tcp.set_nodelay(true) {
                Ok(()) => return NewSocket::Tcp(Io::new(tcp)),
                Err(error) => tracing::debug!(%peer, %error, "a client disconnected at once"),
            },
            Err(error) => {
                log_writer::event(move || {
                    tracing::warn!(%error, "cannot accept a connection from a runner; retrying");
                });
                tokio::time::sleep(OUT_OF_SOCKETS_PAUSE).await;
            }
        }
    }
}
