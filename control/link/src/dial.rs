//! The runner's end of a new socket: TCP, WebSocket, TLS.

use std::time::Duration;

use flame_wire::parent::Fingerprint;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::io::Io;
use crate::tls;
use crate::websocket::{self, PATH, WebSocketIo};

/// How long each step of a dial may take.
const STEP: Duration = Duration::from_secs(10);

/// The parent could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The address in FLAME_PARENT is none.
    #[error("the parent's address {address:?} is no ws://host:port address")]
    Address {
        /// As it stands in FLAME_PARENT.
        address: String,
    },
    /// The socket could not be opened.
    #[error("no connection to the parent at {address}")]
    Connect {
        /// The parent's address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// What answers is no parent of ours.
    #[error("{address} answers, but not as a parent does")]
    WebSocket {
        /// The parent's address.
        address: String,
        /// Why.
        source: Box<tokio_tungstenite::tungstenite::Error>,
    },
    /// What answers does not hold the key that FLAME_PARENT names.
    #[error("{address} does not hold the parent's key")]
    Tls {
        /// The parent's address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A step took longer than 10 s.
    #[error("{address} did not answer within {} s", STEP.as_secs())]
    Timeout {
        /// The parent's address.
        address: String,
    },
}

/// Opens a socket to the parent at `address` (`ws://host:port`) that holds the key with
/// `fingerprint`. Gives up after 10 s in any step. Cancel-safe: a dial that is dropped leaves
/// nothing.
///
/// # Errors
/// [`DialError`].
pub async fn dial(address: &str, fingerprint: Fingerprint) -> Result<Io, DialError> {
    let named = || address.to_owned();
    let bad = || DialError::Address { address: named() };
    let uri: Uri = address.parse().map_err(|_| bad())?;
    if uri.scheme_str() != Some("ws") {
        return Err(bad());
    }
    let (host, port) = (uri.host().ok_or_else(bad)?, uri.port_u16().unwrap_or(80));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let request = format!("ws://{}{PATH}", uri.authority().ok_or_else(bad)?);

    let tcp = within(address, TcpStream::connect((host, port)))
        .await?
        .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
        .map_err(|source| DialError::Connect { address: named(), source })?;
    let upgrade = client_async_with_config(request, tcp, Some(websocket::config()));
    let (socket, _) = within(address, upgrade)
        .await?
        .map_err(|source| DialError::WebSocket { address: named(), source: Box::new(source) })?;
    let tls = within(address, tls::connect(WebSocketIo::new(socket), fingerprint))
        .await?
        .map_err(|source| DialError::Tls { address: named(), source })?;
    Ok(Io::new(tls))
}

async fn within<T>(address: &str, step: impl Future<Output = T>) -> Result<T, DialError> {
    tokio::time::timeout(STEP, step)
        .await
        .map_err(|_| DialError::Timeout { address: address.to_owned() })
}
