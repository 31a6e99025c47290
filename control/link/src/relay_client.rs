//! The WebSockets that a parent opens to a relay: its control connection, and one socket for each
//! runner that connects through the relay.

use std::time::Duration;

use bytes::Bytes;
use flame_wire::relay::MAX_MESSAGE;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::dial::Address;
use crate::io::Io;
use crate::websocket::{self, WebSocketIo};
use crate::{network, outer_tls};

/// How long each step of opening a WebSocket may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a message may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest part of a relay's refusal that is shown, in characters.
const MAX_REASON: usize = 200;

/// The parent could not open a WebSocket to a relay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayDialError {
    /// The address is malformed.
    #[error("the address is not of the form ws://host:port or wss://host")]
    Address,
    /// The key contains characters that an HTTP header can't carry.
    #[error("the key contains characters other than visible ASCII")]
    Key,
    /// The TCP connection failed.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// The server does not speak TLS, or has no trusted certificate.
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    /// The relay does not know the key.
    #[error("the relay rejected the key")]
    KeyRejected,
    /// The relay refused the request.
    #[error("the relay answered with HTTP status {status}: {reason}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// The beginning of its answer.
        reason: String,
    },
    /// The server is no relay.
    #[error("the server is not a relay: it rejected the WebSocket upgrade")]
    WebSocket(#[source] Box<tungstenite::Error>),
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

/// What has arrived on a WebSocket.
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

/// Opens a WebSocket at `path` of the relay at `address`, and shows it `key`.
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
    let address = Address::parse(address).ok_or(RelayDialError::Address)?;
    let request = request(&address, path, key)?;
    let connected = step(network::connect(&address.host, address.port)).await?;
    let mut socket = connected.map_err(RelayDialError::Connect)?;
    if address.has_outer_tls {
        let tls = step(outer_tls::connect(socket, &address.host)).await?;
        socket = tls.map_err(RelayDialError::Tls)?;
    }
    let upgrade = client_async_with_config(request, socket, Some(config(path)));
    let (websocket, _) = step(upgrade).await?.map_err(refused)?;
    Ok(RelaySocket { websocket })
}

impl RelaySocket {
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
                let reason = frame.map(|frame| printable(frame.reason.as_bytes()));
                Err(RelaySocketError::Closed(reason.filter(|reason| !reason.is_empty())))
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

fn request(address: &Address, path: &str, key: &str) -> Result<Request<()>, RelayDialError> {
    // `ws` even over TLS: the library only writes the path and the `Host` header from this URL.
    let url = format!("ws://{}{path}", address.authority);
    let mut request = url.into_client_request().map_err(|_| RelayDialError::Address)?;
    let mut authorization =
        HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| RelayDialError::Key)?;
    authorization.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, authorization);
    Ok(request)
}

async fn step<T>(step: impl Future<Output = T>) -> Result<T, RelayDialError> {
    tokio::time::timeout(STEP_TIMEOUT, step).await.map_err(|_| RelayDialError::Timeout)
}

fn refused(error: tungstenite::Error) -> RelayDialError {
    match error {
        tungstenite::Error::Http(response) if response.status() == StatusCode::UNAUTHORIZED => {
            RelayDialError::KeyRejected
        }
        tungstenite::Error::Http(response) => RelayDialError::Refused {
            status: response.status().as_u16(),
            reason: printable(response.body().as_deref().unwrap_or_default()),
        },
        error => RelayDialError::WebSocket(Box::new(error)),
    }
}

fn broken(error: tungstenite::Error) -> RelaySocketError {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            RelaySocketError::Closed(None)
        }
        error => RelaySocketError::Broken(Box::new(error)),
    }
}

/// The first line of a relay's text, without characters that could disturb a log.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars().filter(|char| !char.is_control()).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers one request with this text. Returns its address, and the request.
    async fn answering(
        answer: &'static str,
    ) -> (String, tokio::task::JoinHandle<std::io::Result<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await?;
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(socket.read_u8().await?);
            }
            socket.write_all(answer.as_bytes()).await?;
            Ok(String::from_utf8_lossy(&request).into_owned())
        });
        (address, served)
    }

    #[tokio::test]
    async fn the_request_has_the_path_and_the_key() {
        let (address, served) = answering("HTTP/1.1 404 Not Found\r\n\r\n").await;
        dial_relay(&address, "/v1/socket/12", "s3cret").await.unwrap_err();
        let request = served.await.unwrap().unwrap().to_ascii_lowercase();
        assert!(request.starts_with("get /v1/socket/12 http/1.1\r\n"), "{request}");
        assert!(request.contains("authorization: bearer s3cret\r\n"), "{request}");
    }

    #[tokio::test]
    async fn a_relay_that_rejects_the_key_and_one_that_refuses_are_told_apart() {
        let (address, _) =
            answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno").await;
        let error = dial_relay(&address, "/v1/parent", "s3cret").await.unwrap_err();
        assert!(matches!(error, RelayDialError::KeyRejected), "{error:?}");

        let (address, _) = answering(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 12\r\n\r\nit is\x1b ill\n",
        )
        .await;
        let error = dial_relay(&address, "/v1/parent", "s3cret").await.unwrap_err();
        let text = "the relay answered with HTTP status 503: it is ill";
        assert_eq!(error.to_string(), text, "{error:?}");
    }

    #[tokio::test]
    async fn no_error_shows_the_key() {
        let key = "key\nwith a line break";
        let error = dial_relay("ws://127.0.0.1:1", "/v1/parent", key).await.unwrap_err();
        assert!(matches!(error, RelayDialError::Key), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("line break"));
    }
}
