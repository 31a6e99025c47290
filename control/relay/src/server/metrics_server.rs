//! Serves `/metrics` and the relay's page on an address of their own, so that strangers who can reach
//! the relay can't read them. No other path is served there, and no key is asked for.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::ACCEPT_PAUSE;
use super::connection::{MAX_HEAD, MAX_HEADERS};
use super::http;
use super::page::{Answer, LISTENING_TIME, MAX_LISTENERS, Page};
use super::shared::Shared;
use crate::socket::Socket;

/// How many clients are served at a time. More wait until one of them has its answer, or has used
/// up its time. Open pages leave room for others.
const MAX_CLIENTS: usize = 2 * MAX_LISTENERS;
/// The path whose answer goes on.
const EVENTS: &str = "/events";

/// Accepts connections for ever. They end when the future is dropped.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let page = Arc::new(Page::new(shared.clone()));
    let mut clients = JoinSet::new();
    loop {
        if clients.len() >= MAX_CLIENTS {
            clients.join_next().await;
        }
        while clients.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((socket, _)) => {
                let _ = socket.set_nodelay(true);
                clients.spawn(serve(Box::new(socket), shared.clone(), page.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for metrics");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers one request.
async fn serve(socket: Socket, shared: Arc<Shared>, page: Arc<Page>) {
    let limit = shared.config.handshake_timeout;
    let listens = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        let path = request.uri().path();
        listens.store(path == EVENTS, Ordering::Relaxed);
        let answer = answer(&shared, &page, path);
        async move { Ok::<_, Infallible>(answer) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(socket), service);
    let mut serving = pin!(serving);
    // The head, and the answer.
    let is_over = timeout(limit * 2, &mut serving).await.is_ok();
    if !is_over && listens.load(Ordering::Relaxed) {
        let _ = timeout(LISTENING_TIME, serving).await;
    }
}

fn answer(shared: &Shared, page: &Arc<Page>, path: &str) -> Answer {
    let whole = |status, text: &str| http::text(status, text).map(BodyExt::boxed_unsync);
    match path {
        "/metrics" => http::metrics(shared).map(BodyExt::boxed_unsync),
        "/" => page.document(),
        "/view.json" => page.view(),
        EVENTS => page.events().unwrap_or_else(|| {
            let why = format!("{MAX_LISTENERS} pages are open already: close one, and try again");
            whole(StatusCode::SERVICE_UNAVAILABLE, &why)
        }),
        _ => {
            let what = "this address serves /metrics, and the relay's page at / and /view.json";
            whole(StatusCode::NOT_FOUND, what)
        }
    }
}

#[cfg(test)]
mod tests;
