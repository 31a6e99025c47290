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
    let Address { host, port, authority, is_front } =
        Address::parse(address).ok_or_else(|| DialError::Address { address: named() })?;
    // The scheme only tells the library what to write as `Host`: TLS is none of its business.
    let request = format!("ws://{authority}{PATH}");
    let host = host.as_str();

    let tcp = within(address, TcpStream::connect((host, port)))
        .await?
        .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
        .map_err(|source| DialError::Connect { address: named(), source })?;
    if !is_front {
        return upgrade(address, request, tcp, fingerprint).await;
    }
    let front = within(address, front::connect(host, tcp))
        .await?
        .map_err(|source| DialError::Front { address: named(), source })?;
    upgrade(address, request, front, fingerprint).await
}

/// Whether [`dial`] can make out whom to dial at `address`.
#[must_use]
pub fn is_address(address: &str) -> bool {
    Address::parse(address).is_some()
}

/// Whom to dial.
struct Address {
    host: String,
    port: u16,
    /// Host and port as they are written.
    authority: String,
    /// Something in front of the parent ends TLS.
    is_front: bool,
}

impl Address {
    fn parse(address: &str) -> Option<Self> {
        let uri: Uri = address.parse().ok()?;
        let (default_port, is_front) = match uri.scheme_str()? {
            "ws" => (80, false),
            "wss" => (443, true),
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(default_port);
        let authority = uri.authority()?.to_string();
        (!host.is_empty()).then_some(Self { host, port, authority, is_front })
    }
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
