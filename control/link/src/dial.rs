//! The runner's end of a new socket: TCP, the front's TLS where there is one, WebSocket, TLS.

use std::time::Duration;

use flame_wire::parent::Fingerprint;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::front;
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
    #[error(
        "the parent's address {address:?} is no address of the form ws://host:port or wss://host"
    )]
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
    /// What stands in front of the parent could not prove who it is.
    #[error("{address} is not who it says, or does not speak TLS")]
    Front {
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

/// Opens a socket to the parent at `address` that holds the key with `fingerprint`. The address is
/// `ws://host:port`, or `wss://host:port` where a load balancer ends TLS in front of the parent:
/// its certificate is then checked against those that the system trusts (`SSL_CERT_FILE` names
/// others). The ports are 80 and 443 where none is given. Gives up after 10 s in any step.
/// Cancel-safe: a dial that is dropped leaves nothing.
///
/// # Errors
/// [`DialError`].
pub async fn dial(address: &str, fingerprint: Fingerprint) -> Result<Io, DialError> {
    let named = || address.to_owned();
    let bad = || DialError::Address { address: named() };
    let uri: Uri = address.parse().map_err(|_| bad())?;
    let default_port = match uri.scheme_str() {
        Some("ws") => 80,
        Some("wss") => 443,
        _ => return Err(bad()),
    };
    let (host, port) = (uri.host().ok_or_else(bad)?, uri.port_u16().unwrap_or(default_port));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // The scheme only tells the library what to write as `Host`: TLS is none of its business.
    let request = format!("ws://{}{PATH}", uri.authority().ok_or_else(bad)?);

    let tcp = within(address, TcpStream::connect((host, port)))
        .await?
        .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
        .map_err(|source| DialError::Connect { address: named(), source })?;
    if default_port == 80 {
        return upgrade(address, request, tcp, fingerprint).await;
    }
    let front = within(address, front::connect(host, tcp))
        .await?
        .map_err(|source| DialError::Front { address: named(), source })?;
    upgrade(address, request, front, fingerprint).await
}

/// The steps that are the same over whatever carries them.
async fn upgrade<S>(
    address: &str,
    request: String,
    socket: S,
    fingerprint: Fingerprint,
) -> Result<Io, DialError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let named = || address.to_owned();
    let upgrade = client_async_with_config(request, socket, Some(websocket::config()));
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
