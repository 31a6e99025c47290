//! The runner's handshakes on a new socket: TCP, the outer TLS of a `wss://` address, WebSocket,
//! and TLS with the parent.

use std::time::Duration;

use flame_wire::parent::Fingerprint;
use tokio_tungstenite::{client_async_with_config, tungstenite};

use crate::io::Io;
use crate::websocket::{self, PATH, WebSocketIo};
use crate::{network, outer_tls, tls};

mod address;
mod rejection;
#[cfg(test)]
mod tests;

pub(crate) use address::Address;
pub use address::{is_address, is_relay_address};
pub(crate) use rejection::first_line;

/// How long each step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// The runner could not connect to its parent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The address is malformed.
    #[error(
        "the parent's address {address:?} is not of the form ws://host:port or wss://host, with or \
         without a path"
    )]
    Address {
        /// The text in FLAME_PARENT.
        address: String,
    },
    /// The TCP connection failed.
    #[error("cannot connect to the parent at {address}")]
    Connect {
        /// The parent's address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The server in front of the parent does not speak TLS, or has no trusted certificate.
    #[error("the TLS handshake with the server at {address} failed")]
    OuterTls {
        /// The parent's address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The server answered the WebSocket upgrade with an error.
    #[error(
        "the server at {address} rejected the WebSocket upgrade with HTTP status {status}{}",
        .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    UpgradeRejected {
        /// The parent's address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// The first line of the response's body, where a relay says why; `None` if the body is
        /// empty or did not arrive together with the head. At most 200 characters of printable
        /// ASCII.
        reason: Option<String>,
    },
    /// The server does not speak HTTP or WebSocket, or closed the connection.
    #[error("the server at {address} did not answer the WebSocket upgrade as a parent does")]
    WebSocket {
        /// The parent's address.
        address: String,
        /// Why.
        source: Box<tungstenite::Error>,
    },
    /// The server does not hold the key that FLAME_PARENT names.
    #[error("the server at {address} does not hold the parent's key")]
    Tls {
        /// The parent's address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A step took longer than 10 s.
    #[error("the server at {address} did not answer within {} s", STEP_TIMEOUT.as_secs())]
    Timeout {
        /// The parent's address.
        address: String,
    },
}

/// Opens a socket to the parent at `address` and checks that the parent holds the key with
/// `fingerprint`.
///
/// The address is `ws://host:port`, or `wss://host:port` if a load balancer terminates TLS in front
/// of the parent. The load balancer's certificate is checked against the certificates that the
/// system trusts; `SSL_CERT_FILE` names others. The default ports are 80 and 443. If the address
/// has a path, as at a relay, the WebSocket is requested at exactly that path; without a path, or
/// with `/`, at the path of a parent's own listener. Each step times out after 10 s.
///
/// Cancel-safe: dropping the future closes the socket.
///
/// # Errors
/// [`DialError`].
pub async fn dial(address: &str, fingerprint: Fingerprint) -> Result<Io, DialError> {
    let parsed = Address::parse(address)
        .ok_or_else(|| DialError::Address { address: address.to_owned() })?;
    let step = DialStep { address };
    let mut socket = step.tcp(&parsed).await?;
    if parsed.has_outer_tls {
        socket = step.outer_tls(socket, &parsed.host).await?;
    }
    let websocket = step.websocket(socket, &parsed).await?;
    step.tls(websocket, fingerprint).await
}

/// The steps of a dial. Each has 10 s, and its errors name the address.
struct DialStep<'a> {
    address: &'a str,
}

impl DialStep<'_> {
    async fn tcp(&self, address: &Address) -> Result<Io, DialError> {
        self.within_timeout(network::connect(&address.host, address.port))
            .await?
            .map_err(|source| DialError::Connect { address: self.name(), source })
    }

    async fn outer_tls(&self, tcp: Io, host: &str) -> Result<Io, DialError> {
        self.within_timeout(outer_tls::connect(tcp, host))
            .await?
            .map_err(|source| DialError::OuterTls { address: self.name(), source })
    }

    async fn websocket(&self, socket: Io, address: &Address) -> Result<Io, DialError> {
        let path = address.path.as_deref().unwrap_or(PATH);
        // `ws` even over TLS: the library only writes the request line and the `Host` header from
        // this URL.
        let request = format!("ws://{}{path}", address.authority);
        let upgrade = client_async_with_config(request, socket, Some(websocket::config()));
        let (websocket, _) =
            self.within_timeout(upgrade).await?.map_err(|error| self.no_websocket(error))?;
        Ok(Io::new(WebSocketIo::new(websocket)))
    }

    fn no_websocket(&self, error: tungstenite::Error) -> DialError {
        match error {
            tungstenite::Error::Http(response) => DialError::UpgradeRejected {
                address: self.name(),
                status: response.status().as_u16(),
                reason: response.body().as_deref().and_then(first_line),
            },
            error => DialError::WebSocket { address: self.name(), source: Box::new(error) },
        }
    }

    async fn tls(&self, websocket: Io, fingerprint: Fingerprint) -> Result<Io, DialError> {
        self.within_timeout(tls::connect(websocket, fingerprint))
            .await?
            .map(Io::new)
            .map_err(|source| DialError::Tls { address: self.name(), source })
    }

    async fn within_timeout<T>(&self, step: impl Future<Output = T>) -> Result<T, DialError> {
        tokio::time::timeout(STEP_TIMEOUT, step)
            .await
            .map_err(|_| DialError::Timeout { address: self.name() })
    }

    fn name(&self) -> String {
        self.address.to_owned()
    }
}
