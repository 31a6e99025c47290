//! The WebSockets that a parent opens to a relay: its control connection, and one socket for each
//! runner that connects through the relay.

use std::time::Duration;

use bytes::Bytes;
use flame_wire::relay::MAX_MESSAGE;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::dial::{Address, first_line};
use crate::io::{Io, in_memory};
use crate::websocket::{self, WebSocketIo};
use crate::{network, outer_tls};

mod upgrade;

use upgrade::UpgradeRequest;

/// How long each step of opening a WebSocket may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a message may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The parent could not open a WebSocket to a relay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayDialError {
    /// The address is malformed, or has a path.
    #[error("the address is not of the form ws://host:port or wss://host, without a path")]
    Address,
    /// The key contains characters that an HTTP header can't carry.
    #[error("the key contains characters other than visible ASCII")]
    Key,
    /// The TCP connection failed.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// The server does not speak TLS, or has no trusted certificate.
    #[error(
        "the TLS handshake failed (if the relay has no certificate, its URL begins with ws://)"
    )]
    Tls(#[source] std::io::Error),
    /// The relay does not know the key.
    #[error("the relay rejected the key")]
    KeyRejected,
    /// The relay refused the request.
    #[error(
        "the server answered with HTTP status {status}{}",
        .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    Refused {
        /// The status of its answer.
        status: u16,
        /// The first line of the answer's body, as in
        /// [`DialError::UpgradeRejected`](crate::DialError::UpgradeRejected).
        reason: Option<String>,
    },
    /// The server does not answer as a relay does.
    #[error(
        "the server did not answer the WebSocket upgrade as a relay does (if it has a certificate, \
         its URL begins with wss://)"
    )]
    WebSocket(#[source] std::io::Error),
    /// A step took longer than 10 s.
    #[error("the server did not answer within {} s", STEP_TIMEOUT.as_secs())]
    Timeout,
}

/// A WebSocket to a relay is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelaySocketError {
    /// The relay has closed it.
    #[error("the relay closed the connection{}", .0.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    Closed(Option<String>),
    /// It broke.
    #[error("the connection broke")]
    Broken(#[source] Box<tungstenite::Error>),
    /// The relay sent a text message.
    #[error("the relay sent a text message, which is not in the protocol")]
    Text,
    /// The relay did not accept a message in time.
    #[error("the relay accepted no data for {} s", WRITE_TIMEOUT.as_secs())]
    WriteTimeout,
}

/// A message that has arrived on a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayMessage {
    /// A message of the protocol.
    Binary(Bytes),
    /// A ping or a pong: the relay is alive.
    Alive,
}

/// A WebSocket to a relay.
pub struct RelaySocket {
    websocket: WebSocketStream<Io>,
}

impl std::fmt::Debug for RelaySocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RelaySocket")
    }
}

/// Opens a WebSocket at `path` of the relay at `address`, and shows it `key`. The address itself has
/// no path: see [`is_relay_address`](crate::is_relay_address).
///
/// With `wss://`, the relay's certificate is checked as in [`dial`](crate::dial). Each step times
/// out after 10 s.
///
/// Cancel-safe: dropping the future closes the socket.
///
/// # Errors
/// [`RelayDialError`]. It never contains the key.
pub async fn dial_relay(
    address: &str,
    path: &str,
    key: &str,
) -> Result<RelaySocket, RelayDialError> {
    let address = Address::parse_relay(address).ok_or(RelayDialError::Address)?;
    let request = UpgradeRequest::new(&address.authority, path, key).ok_or(RelayDialError::Key)?;
    let connected = step(network::connect(&address.host, address.port)).await?;
    let mut socket = connected.map_err(RelayDialError::Connect)?;
    if address.has_outer_tls {
        let tls = step(outer_tls::connect(socket, &address.host)).await?;
        socket = tls.map_err(RelayDialError::Tls)?;
    }
    let websocket = step(request.send(socket, config(path))).await??;
    Ok(RelaySocket { websocket })
}

impl RelaySocket {
    /// The two ends of a control connection within this process, for tests.
    pub async fn in_memory() -> (Self, Self) {
        let (parent, relay) = in_memory();
        let config = config(flame_wire::relay::PARENT_PATH);
        let end = async |io, role| Self {
            websocket: WebSocketStream::from_raw_socket(io, role, Some(config)).await,
        };
        (end(parent, Role::Client).await, end(relay, Role::Server).await)
    }

    /// The next message. Cancel-safe.
    ///
    /// # Errors
    /// [`RelaySocketError`]: there is no further message.
    pub async fn recv(&mut self) -> Result<RelayMessage, RelaySocketError> {
        match self.websocket.next().await {
            Some(Ok(Message::Binary(bytes))) => Ok(RelayMessage::Binary(bytes)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                Ok(RelayMessage::Alive)
            }
            Some(Ok(Message::Close(frame))) => {
                let reason = frame.and_then(|frame| first_line(frame.reason.as_bytes()));
                Err(RelaySocketError::Closed(reason))
            }
            Some(Ok(Message::Text(_))) => Err(RelaySocketError::Text),
            None => Err(RelaySocketError::Closed(None)),
            Some(Err(error)) => Err(broken(error)),
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`RelaySocketError`].
    pub async fn send(&mut self, message: Vec<u8>) -> Result<(), RelaySocketError> {
        self.write(Message::Binary(message.into())).await
    }

    /// Sends a ping, which the relay answers.
    ///
    /// # Errors
    /// [`RelaySocketError`].
    pub async fn ping(&mut self) -> Result<(), RelaySocketError> {
        self.write(Message::Ping(Bytes::new())).await
    }

    /// The bytes that a runner sends through the relay, and the way back to it.
    #[must_use]
    pub fn into_io(self) -> Io {
        Io::new(WebSocketIo::new(self.websocket))
    }

    async fn write(&mut self, message: Message) -> Result<(), RelaySocketError> {
        tokio::time::timeout(WRITE_TIMEOUT, self.websocket.send(message))
            .await
            .map_err(|_| RelaySocketError::WriteTimeout)?
            .map_err(broken)
    }
}

/// The configuration of a WebSocket. Only a control connection needs no room for a runner's data.
fn config(path: &str) -> WebSocketConfig {
    let config = websocket::config();
    if path == flame_wire::relay::PARENT_PATH {
        config.max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE))
    } else {
        config
    }
}

async fn step<T>(step: impl Future<Output = T>) -> Result<T, RelayDialError> {
    tokio::time::timeout(STEP_TIMEOUT, step).await.map_err(|_| RelayDialError::Timeout)
}

fn broken(error: tungstenite::Error) -> RelaySocketError {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            RelaySocketError::Closed(None)
        }
        error => RelaySocketError::Broken(Box::new(error)),
    }
}

#[cfg(test)]
mod tests;
