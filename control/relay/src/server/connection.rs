//! One connection: TLS, one HTTP request, and its answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use flame_wire::error::Chain;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use super::handshakes::Handshake;
use super::http::{self, Client};
use super::shared::Shared;
use crate::socket::Socket;

/// The largest head of a request, in bytes. hyper's smallest value.
pub(super) const MAX_HEAD: usize = 8192;
/// The most header lines of a request.
pub(super) const MAX_HEADERS: usize = 64;

/// Serves the connection until it is answered. A socket that is upgraded leaves this task.
pub(super) async fn serve(
    shared: Arc<Shared>,
    socket: Socket,
    peer: SocketAddr,
    handshake: Handshake,
) {
    let config = &shared.config;
    let socket = match timeout(config.handshake_timeout, accept_tls(&shared, socket)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "the TLS handshake failed");
            return shared.metrics.handshake_failed("tls");
        }
        Err(_) => {
            tracing::debug!(%peer, "the TLS handshake took too long");
            return shared.metrics.handshake_failed("timeout");
        }
    };
    let service = {
        let shared = shared.clone();
        service_fn(move |request| {
            let client = Client { shared: shared.clone(), peer, handshake: handshake.clone() };
            async move { Ok::<_, std::convert::Infallible>(http::answer(client, request).await) }
        })
    };
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.handshake_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    // The head, the wait for the parent, and the answer.
    let limit = config.handshake_timeout * 2 + config.limits.pair_timeout;
    match timeout(limit, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.is_timeout() => {
            tracing::debug!(%peer, "the request took too long");
            shared.metrics.handshake_failed("timeout");
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, error = %Chain(&error), "the request is not HTTP");
            shared.metrics.handshake_failed("http");
        }
        Err(_) => shared.metrics.handshake_failed("timeout"),
    }
}

async fn accept_tls(shared: &Shared, socket: Socket) -> io::Result<Socket> {
    match &shared.tls {
        None => Ok(socket),
        Some(tls) => Ok(Box::new(tls.acceptor().accept(socket).await?)),
    }
}
