//! The WebSocket baseline: binary messages with plain tokio-tungstenite.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};

use super::{Echo, EchoProcess};
use crate::process::ChildProcess;
use crate::sample::now;

/// Nobody resolves this host.
pub(super) const URL: &str = "ws://baseline.invalid/";

/// Allows messages of any length. The read buffer has the size of the link's: tungstenite's default
/// of 128 KiB is zeroed for every read, which would add a tenth to the baseline.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None)
        .read_buffer_size(16 * 1024)
}

/// A WebSocket connection to an echo process.
pub(crate) struct WsBaseline {
    socket: WebSocketStream<TcpStream>,
    process: EchoProcess,
    _hop: Option<ChildProcess>,
}

impl WsBaseline {
    pub(crate) async fn start() -> Self {
        let (socket, process) = Echo::start(None).await;
        Self { socket: accept(socket).await, process, _hop: None }
    }

    /// The same, with a process between the two that forwards the messages.
    pub(crate) async fn start_with_hop() -> Self {
        let (socket, process, hop) = Echo::start_with_hop().await;
        Self { socket: accept(socket).await, process, _hop: Some(hop) }
    }

    /// Sends a message, and waits for its echo.
    pub(crate) async fn echo(&mut self, message: &Bytes) {
        self.socket.send(Message::Binary(message.clone())).await.expect("a message to be sent");
        let back = self.receive().await;
        assert_eq!(back.len(), message.len(), "the echo has another length");
    }

    /// Keeps `in_flight` messages under way for a `span`. Returns how many came back per second.
    pub(crate) async fn pipeline(
        &mut self,
        message: &Bytes,
        in_flight: usize,
        span: Duration,
    ) -> f64 {
        for _ in 0..in_flight {
            self.feed(message).await;
        }
        let (start, mut back) = (now(), 0_u32);
        while start.elapsed() < span {
            self.socket.flush().await.expect("messages to be sent");
            self.receive().await;
            self.feed(message).await;
            back += 1;
            // Messages that have arrived meanwhile are answered in the same flush.
            while let Some(more) = self.socket.next().now_or_never() {
                more.expect("an echo").expect("an echo");
                self.feed(message).await;
                back += 1;
            }
        }
        let rate = f64::from(back) / start.elapsed().as_secs_f64();
        self.socket.flush().await.expect("messages to be sent");
        for _ in 0..in_flight {
            self.receive().await;
        }
        rate
    }

    /// The processor time that the echo process has used so far, if the system reports it.
    pub(crate) fn process_cpu(&self) -> Option<Duration> {
        self.process.cpu()
    }

    async fn feed(&mut self, message: &Bytes) {
        self.socket.feed(Message::Binary(message.clone())).await.expect("a message to be taken");
    }

    async fn receive(&mut self) -> Bytes {
        self.socket.next().await.expect("an echo").expect("an echo").into_data()
    }
}

async fn accept(socket: TcpStream) -> WebSocketStream<TcpStream> {
    accept_async_with_config(socket, Some(config())).await.expect("a WebSocket handshake")
}

/// The echo process's side.
pub(super) async fn echo(socket: TcpStream) {
    let (mut socket, _) =
        client_async_with_config(URL, socket, Some(config())).await.expect("a WebSocket handshake");
    // Any error means that the other side has closed the connection.
    while let Some(Ok(message)) = socket.next().await {
        let mut taken = socket.feed(message).await;
        while let Some(Some(Ok(more))) = socket.next().now_or_never() {
            taken = taken.and(socket.feed(more).await);
        }
        if taken.and(socket.flush().await).is_err() {
            break;
        }
    }
}
