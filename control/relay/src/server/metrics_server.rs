//! Serves `/metrics` on an address of its own, so that strangers who can reach the relay can't read
//! them. No other path is served there, and no key is asked for.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::ACCEPT_PAUSE;
use super::connection::{MAX_HEAD, MAX_HEADERS};
use super::http::{self, Answer};
use super::shared::Shared;
use crate::request::Route;

/// How many clients are served at a time. More wait until one of them has its answer, or has used
/// up its time.
const MAX_CLIENTS: usize = 16;

/// Accepts connections for ever. They end when the future is dropped.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let mut clients = JoinSet::new();
    loop {
        if clients.len() >= MAX_CLIENTS {
            clients.join_next().await;
        }
        while clients.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((socket, _)) => {
                clients.spawn(serve(socket, shared.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for metrics");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers one request.
async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let limit = shared.config.handshake_timeout;
    let service = service_fn(|request| {
        let answer = answer(&shared, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(socket), service);
    // The head, and the answer.
    let _ = timeout(limit * 2, serving).await;
}

fn answer(shared: &Shared, request: &Request<Incoming>) -> Answer {
    match Route::of(request.uri().path()) {
        Some(Route::Metrics) => http::metrics(shared),
        _ => http::text(StatusCode::NOT_FOUND, "this address serves /metrics only"),
    }
}
