//! The parent's handshakes on a new socket: first WebSocket, then TLS.

use std::time::Duration;

use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::io::Io;
use crate::tls::ServerKey;
use crate::websocket::{self, PATH, WebSocketIo};

/// How long each handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The client on a new socket is not a runner of this parent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The client did not ask for a WebSocket, or asked for another path.
    #[error("the client did not request a WebSocket at {PATH}")]
    WebSocket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    /// A handshake took longer than 10 s.
    #[error("the client did not finish a handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Timeout,
}

/// Does both handshakes on a socket that a runner has opened. Each may take 10 s.
///
/// # Errors
/// [`AcceptError`]. The socket is closed, and there is nothing else to do.
pub async fn accept(socket: Io, key: &ServerKey) -> Result<Io, AcceptError> {
    let websocket = accept_websocket(socket).await?;
    accept_tls(websocket, key).await
}

/// Answers the WebSocket upgrade on `socket`. The returned [`Io`] yields the bytes that the client
/// sends over the WebSocket.
///
/// # Errors
/// [`AcceptError::WebSocket`] or [`AcceptError::Timeout`].
pub async fn accept_websocket(socket: Io) -> Result<Io, AcceptError> {
    let upgrade = accept_hdr_async_with_config(socket, check_path, Some(websocket::config()));
    let websocket = tokio::time::timeout(HANDSHAKE_TIMEOUT, upgrade)
        .await
        .map_err(|_| AcceptError::Timeout)?
        .map_err(|error| AcceptError::WebSocket(Box::new(error)))?;
    Ok(Io::new(WebSocketIo::new(websocket)))
}

/// Proves to the runner on `websocket` that this parent holds `key`, and encrypts what follows.
///
/// # Errors
/// [`AcceptError::Tls`] or [`AcceptError::Timeout`].
pub async fn accept_tls(websocket: Io, key: &ServerKey) -> Result<Io, AcceptError> {
    let tls = tokio::time::timeout(HANDSHAKE_TIMEOUT, key.accept(websocket))
        .await
        .map_err(|_| AcceptError::Timeout)?
        .map_err(AcceptError::Tls)?;
    Ok(Io::new(tls))
}

#[expect(clippy::result_large_err, reason = "tungstenite prescribes this signature")]
fn check_path(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() == PATH {
        return Ok(response);
    }
    let mut not_found = ErrorResponse::new(Some(format!("runners connect to {PATH}")));
    *not_found.status_mut() = StatusCode::NOT_FOUND;
    Err(not_found)
}
