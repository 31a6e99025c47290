//! The parent's end of a new socket: WebSocket, TLS.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::io::Io;
use crate::tls::ServerKey;
use crate::websocket::{self, PATH, WebSocketIo};

/// How long a stranger may take for his handshakes.
const STEP: Duration = Duration::from_secs(10);

/// Whoever dialled is no runner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// No WebSocket upgrade, or of another path.
    #[error("not the WebSocket upgrade of a runner")]
    WebSocket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    /// A step took longer than 10 s.
    #[error("the handshakes were not done within {} s", STEP.as_secs())]
    Timeout,
}

/// Takes the socket of one that dialled, at most 10 s a step.
///
/// # Errors
/// [`AcceptError`]: the socket is closed; there is nothing else to do.
pub async fn accept<S>(socket: S, key: &ServerKey) -> Result<Io, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let upgrade = accept_hdr_async_with_config(socket, check_path, Some(websocket::config()));
    let socket = tokio::time::timeout(STEP, upgrade)
        .await
        .map_err(|_| AcceptError::Timeout)?
        .map_err(|error| AcceptError::WebSocket(Box::new(error)))?;
    let tls = tokio::time::timeout(STEP, key.accept(WebSocketIo::new(socket)))
        .await
        .map_err(|_| AcceptError::Timeout)?
        .map_err(AcceptError::Tls)?;
    Ok(Io::new(tls))
}

#[expect(clippy::result_large_err, reason = "the shape that tungstenite asks for")]
fn check_path(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() == PATH {
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(Some(format!("runners dial {PATH}")));
    *refusal.status_mut() = StatusCode::NOT_FOUND;
    Err(refusal)
}
