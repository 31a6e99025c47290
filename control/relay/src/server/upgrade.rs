//! WebSocket upgrades of HTTP requests.

use std::io;

use flame_wire::error::Chain;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::core::Refusal;
use crate::pair::UpgradedSocket;
use crate::socket::Socket;

/// The answer 101 to this request.
pub(super) fn switching_protocols(
    request: &Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Refusal> {
    create_response_with_body(request, Full::default).map_err(|_| Refusal::NotWebSocket)
}

/// The socket, after the answer was sent.
pub(super) async fn upgraded(
    upgrade: OnUpgrade,
    within: std::time::Duration,
) -> io::Result<UpgradedSocket> {
    let upgraded = timeout(within, upgrade)
        .await?
        .map_err(|error| io::Error::other(Chain(&error).to_string()))?;
    let parts = upgraded
        .downcast::<TokioIo<Socket>>()
        .map_err(|_| io::Error::other("the upgraded connection is of an unknown type"))?;
    // A copy, because even an empty `read_buf` keeps the buffer of the request alive.
    let read_ahead = Bytes::copy_from_slice(&parts.read_buf);
    Ok(UpgradedSocket { socket: parts.io.into_inner(), read_ahead })
}
