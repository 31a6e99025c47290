//! Clients of a relay that speak its protocol and nothing else: no TLS, no hello, no link.

use std::net::SocketAddr;

use bytes::Bytes;
use flame_wire::ids::RunnerRef;
use flame_wire::relay::{
    MAX_BATCH, PARENT_PATH, ParentToRelay, RUNNER_PATH, RelayToParent, SOCKET_PATH, Ticket,
};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::KEY;

pub(super) type Socket = WebSocketStream<TcpStream>;

/// How long the relay keeps a registration: longer than a measurement takes.
const REGISTERED_FOR_MS: u64 = 60 * 60 * 1000;

/// A parent that expects runners, and returns each of their messages.
pub(super) struct RawParent {
    serving: JoinHandle<()>,
}

impl RawParent {
    /// Connects, and registers the first `runners` runners.
    pub(super) async fn start(relay: SocketAddr, runners: u32) -> Self {
        let mut control = connect(relay, PARENT_PATH, Some(KEY)).await.expect("a connection");
        let all: Vec<_> = (0..runners).map(runner).collect();
        for batch in all.chunks(MAX_BATCH) {
            let register = ParentToRelay::Register {
                runners: batch.to_vec(),
                expires_in_ms: REGISTERED_FOR_MS,
            };
            let message = register.encode().expect("a message that is not too long");
            control.send(Message::Binary(message.into())).await.expect("the relay reads");
        }
        // The relay reads in order. So its pong says that it has registered all runners.
        control.send(Message::Ping(Bytes::new())).await.expect("the relay reads");
        while !matches!(next(&mut control).await, Message::Pong(_)) {}
        Self { serving: tokio::spawn(serve(control, relay)) }
    }
}

impl Drop for RawParent {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Opens a socket for each runner that waits.
async fn serve(mut control: Socket, relay: SocketAddr) {
    loop {
        let Message::Binary(message) = next(&mut control).await else { continue };
        let message = RelayToParent::decode(&message).expect("a message of the relay");
        if let RelayToParent::RunnerWaiting { ticket, .. } = message {
            tokio::spawn(echo(relay, ticket));
        }
    }
}

/// Opens the socket to a runner, and returns its messages until the pair ends.
async fn echo(relay: SocketAddr, ticket: Ticket) {
    let path = format!("{SOCKET_PATH}{}", ticket.to_path());
    let Ok(mut socket) = connect(relay, &path, Some(KEY)).await else { return };
    // Pings are answered by the library, with the next read.
    while let Some(Ok(message)) = socket.next().await {
        if message.is_binary() && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Connects as a runner. Returns once the parent's socket is there as well.
pub(super) async fn connect_runner(relay: SocketAddr, number: u32) -> Result<Socket, Error> {
    connect(relay, &format!("{RUNNER_PATH}{}", runner(number)), None).await
}

async fn connect(relay: SocketAddr, path: &str, key: Option<&str>) -> Result<Socket, Error> {
    let mut request = format!("ws://{relay}{path}").into_client_request()?;
    if let Some(key) = key {
        let key = format!("Bearer {key}").parse().expect("a key of visible ASCII");
        request.headers_mut().insert("authorization", key);
    }
    let tcp = TcpStream::connect(relay).await?;
    tcp.set_nodelay(true)?;
    // Reset when it is closed, so that no port stays occupied.
    tcp.set_zero_linger()?;
    // A small buffer, because there are thousands of sockets.
    let config = WebSocketConfig::default().read_buffer_size(1024);
    Ok(client_async_with_config(request, tcp, Some(config)).await?.0)
}

async fn next(socket: &mut Socket) -> Message {
    socket.next().await.expect("the relay is there").expect("the relay is there")
}

fn runner(number: u32) -> RunnerRef {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    RunnerRef::from_bytes(bytes)
}
