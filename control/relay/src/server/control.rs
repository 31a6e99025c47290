//! A parent's control connection.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use flame_wire::relay::{MAX_MESSAGE, ParentToRelay, RelayToParent};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::shared::{ControlConnection, Shared};
use super::upgrade;
use crate::socket::Socket;

/// Why a control connection has ended.
enum End {
    /// The parent has closed it, or it broke.
    Lost,
    /// The relay closes it.
    Close(CloseCode, &'static str),
}

/// Serves the control connection until it ends.
pub(super) async fn run(
    shared: Arc<Shared>,
    peer: SocketAddr,
    admitted: ControlConnection,
    upgrade: OnUpgrade,
) {
    let within = shared.config.handshake_timeout;
    let socket = match upgrade::upgraded(upgrade, within).await {
        Ok(socket) => socket,
        Err(error) => return tracing::info!(%peer, %error, "a parent disconnected at once"),
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let read_ahead = socket.read_ahead.to_vec();
    let socket =
        WebSocketStream::from_partially_read(socket.socket, read_ahead, Role::Server, Some(config));
    tracing::info!(%peer, "a parent has connected");
    let mut control = Control { shared, admitted, socket: socket.await };
    let end = control.serve().await;
    if let End::Close(code, reason) = end {
        control.close(code, reason).await;
        tracing::info!(%peer, reason, "closed the connection of a parent");
    } else {
        tracing::info!(%peer, "a parent has disconnected");
    }
}

struct Control {
    shared: Arc<Shared>,
    admitted: ControlConnection,
    socket: WebSocketStream<Socket>,
}

impl Control {
    async fn serve(&mut self) -> End {
        let config = &self.shared.config;
        let welcome = RelayToParent::Welcome {
            node: self.shared.node.clone(),
            address: config.address.clone(),
            max_runners: config.limits.runners_per_parent,
        };
        let limits = config.pair;
        if let Err(end) = self.send(&welcome).await {
            return end;
        }
        let mut closing = self.shared.closing();
        let mut closing = pin!(async { closing.wait_for(|&closing| closing).await.map(|_| ()) });
        let mut heard = Instant::now();
        let mut is_pinged = false;
        loop {
            let pong = if is_pinged { limits.pong_timeout } else { std::time::Duration::ZERO };
            let silent = heard + limits.ping_interval + pong;
            let sent = tokio::select! {
                _ = &mut closing => {
                    return End::Close(CloseCode::Restart, "this relay is restarting");
                }
                message = self.admitted.messages.recv() => match message {
                    Some(message) => self.send(&message).await,
                    None => return End::Close(CloseCode::Policy, REPLACED),
                },
                message = self.socket.next() => {
                    heard = Instant::now();
                    is_pinged = false;
                    match message {
                        Some(Ok(message)) => self.receive(message),
                        Some(Err(_)) | None => Err(End::Lost),
                    }
                }
                () = sleep_until(silent) => {
                    if is_pinged {
                        return End::Lost;
                    }
                    is_pinged = true;
                    self.write(Message::Ping(Bytes::new())).await
                }
            };
            if let Err(end) = sent {
                return end;
            }
        }
    }

    fn receive(&self, message: Message) -> Result<(), End> {
        match message {
            Message::Binary(bytes) => match ParentToRelay::decode(&bytes) {
                Ok(message) => {
                    self.shared.message_from(self.admitted.connection.id, message);
                    Ok(())
                }
                Err(error) => {
                    tracing::warn!(%error, "a parent sent an invalid message");
                    Err(End::Close(CloseCode::Protocol, "this message is not one of a parent"))
                }
            },
            Message::Text(_) => {
                Err(End::Close(CloseCode::Unsupported, "control messages are binary"))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => Ok(()),
        }
    }

    async fn send(&mut self, message: &RelayToParent) -> Result<(), End> {
        match message.encode() {
            Ok(bytes) => self.write(Message::Binary(bytes.into())).await,
            Err(error) => {
                tracing::error!(%error, "a message to a parent can't be encoded");
                Ok(())
            }
        }
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.shared.config.pair.write_timeout, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Lost),
        }
    }

    async fn close(&mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame { code, reason: reason.into() };
        let closed = async {
            self.socket.close(Some(frame)).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<(), tokio_tungstenite::tungstenite::Error>(())
        };
        let _ = timeout(crate::pair::CLOSE_TIMEOUT, closed).await;
    }
}

const REPLACED: &str = "the key is no longer valid, or the parent does not read its messages";
