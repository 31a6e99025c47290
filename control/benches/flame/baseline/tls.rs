//! The TLS baseline: messages with a length of four bytes before each, through TLS over WebSocket.
//!
//! The socket is the link's, so the baseline has the same cryptography and the same WebSocket, but
//! no session, mux, pool or call.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use flame_link::{Io, ServerKey, accept};
use flame_wire::parent::Fingerprint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Echo, EchoProcess};

/// A TLS connection to an echo process.
pub(crate) struct TlsBaseline {
    socket: Io,
    _process: EchoProcess,
}

impl TlsBaseline {
    pub(crate) async fn start() -> Self {
        let key = ServerKey::generate().expect("a key");
        let (socket, process) = Echo::start(Some(key.fingerprint())).await;
        let socket = accept(Io::new(socket), &key).await.expect("the handshakes");
        Self { socket, _process: process }
    }

    /// Sends a message made by [`framed`], and waits for its echo.
    pub(crate) async fn echo(&mut self, framed: &Bytes) {
        self.socket.write_all(framed).await.expect("a message to be sent");
        self.socket.flush().await.expect("a message to be sent");
        let back = receive(&mut self.socket).await.expect("an echo");
        assert_eq!(back.len(), framed.len(), "the echo has another length");
    }
}

/// Returns a message with its length before it.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(4 + message.len());
    framed.put_u32(u32::try_from(message.len()).expect("a message of less than 4 GiB"));
    framed.put_slice(message);
    framed.freeze()
}

/// Receives a framed message into memory of its own, as a receiver that passes it on has to.
async fn receive(socket: &mut Io) -> std::io::Result<BytesMut> {
    let len = socket.read_u32().await?;
    let whole = 4 + usize::try_from(len).expect("a message that fits in memory");
    let mut message = BytesMut::with_capacity(whole);
    message.put_u32(len);
    let mut rest = socket.take(len.into());
    while message.len() < whole {
        if rest.read_buf(&mut message).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(message)
}

/// The echo process's side.
pub(super) async fn echo(address: SocketAddr, fingerprint: Fingerprint) {
    let mut socket = flame_link::dial(&format!("ws://{address}"), fingerprint)
        .await
        .expect("the measuring process");
    // Any error means that the other side has closed the connection.
    while let Ok(message) = receive(&mut socket).await {
        if socket.write_all(&message).await.is_err() || socket.flush().await.is_err() {
            break;
        }
    }
}
