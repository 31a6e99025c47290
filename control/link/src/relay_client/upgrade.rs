//! The WebSocket upgrade of a request that contains a secret.
//!
//! The WebSocket library would log the whole request at the level TRACE, with the key, and leave it
//! in memory. So this module writes the request, and reads the answer; the library takes over after
//! that.

use std::fmt::Write;
use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::{Response, generate_key};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use zeroize::Zeroizing;

use super::RelayDialError;
use crate::dial::first_line;
use crate::io::Io;

/// How much of an answer is read at once, in bytes.
const READ_SIZE: usize = 4 * 1024;
/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// A request for a WebSocket, with a relay's key. Overwritten in memory when it is dropped.
pub(super) struct UpgradeRequest {
    text: Zeroizing<String>,
    nonce: String,
}

impl UpgradeRequest {
    /// `None` if the key has characters that a header can't carry.
    pub(super) fn new(authority: &str, path: &str, key: &str) -> Option<Self> {
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let nonce = generate_key();
        // Large enough: a string that grows would leave a copy behind.
        let capacity = 256 + authority.len() + path.len() + nonce.len() + key.len();
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        let written = write!(
            text,
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\
             Authorization: Bearer {key}\r\n\r\n"
        );
        debug_assert!(text.len() <= capacity);
        written.ok().map(|()| Self { text, nonce })
    }

    /// Sends the request, and waits for the answer.
    pub(super) async fn send(
        self,
        mut socket: Io,
        config: WebSocketConfig,
    ) -> Result<WebSocketStream<Io>, RelayDialError> {
        let lost = RelayDialError::WebSocket;
        socket.write_all(self.text.as_bytes()).await.map_err(lost)?;
        socket.flush().await.map_err(lost)?;
        // A refusal and its reason arrive together, and are shown together if both fit.
        let mut received = BytesMut::with_capacity(READ_SIZE);
        let (head, response) = loop {
            if socket.read_buf(&mut received).await.map_err(lost)? == 0 {
                return Err(lost(io::ErrorKind::UnexpectedEof.into()));
            }
            let parsed = Response::try_parse(&received);
            if let Some(parsed) = parsed.map_err(|error| invalid(error.to_string()))? {
                break parsed;
            }
            if received.len() > MAX_HEAD {
                return Err(invalid("the head of the answer is too long"));
            }
        };
        let rest = received.split_off(head);
        self.check(&response, &rest)?;
        Ok(WebSocketStream::from_partially_read(socket, rest.into(), Role::Client, Some(config))
            .await)
    }

    /// Whether this is the answer of a WebSocket server to this request (RFC 6455, section 4.1).
    fn check(&self, response: &Response, body: &[u8]) -> Result<(), RelayDialError> {
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            StatusCode::UNAUTHORIZED => return Err(RelayDialError::KeyRejected),
            status => {
                let (status, reason) = (status.as_u16(), first_line(body));
                return Err(RelayDialError::Refused { status, reason });
            }
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let is = |name, expected: &str| {
            let mut values = header(name).unwrap_or_default().split(',');
            values.any(|value| value.trim().eq_ignore_ascii_case(expected))
        };
        let accept = header(SEC_WEBSOCKET_ACCEPT);
        let is_accepted = accept == Some(derive_accept_key(self.nonce.as_bytes()).as_str());
        if is(UPGRADE, "websocket") && is(CONNECTION, "upgrade") && is_accepted {
            Ok(())
        } else {
            Err(invalid("the headers of the answer are not those of a WebSocket"))
        }
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RelayDialError {
    RelayDialError::WebSocket(io::Error::new(io::ErrorKind::InvalidData, why))
}
