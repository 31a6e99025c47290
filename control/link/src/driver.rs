//! The driver of a link: one task that moves packets between the socket and the state machines,
//! gives them the time, and takes a new socket when one breaks.
//!
//! ```text
//!          ┌─────────── no socket within the reconnect timeout ────────────┐
//! socket ──▶ connection ── lost or silent ──▶ wait for the next ── socket ──┘──▶ end
//!             └── closed by either side, aborted, protocol broken ────────────▶ end
//! ```

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use flame_wire::frame::Frame;
use flame_wire::mux::{Message, Mux, MuxConfig, Side};
use flame_wire::session::Session;
use futures_util::future::{BoxFuture, poll_fn};
use tokio::sync::mpsc;

use crate::error::LinkEnd;
use crate::io::Io;
use crate::link::Link;
use crate::state::{CloseRequest, Deferred, LinkShared};
use crate::stream::Stream;

mod connection;

use connection::{Connection, ConnectionEnd};

/// The limits of a link.
#[derive(Debug, Clone, Copy)]
pub struct LinkConfig {
    /// The limits of the mux.
    pub mux: MuxConfig,
    /// How many bytes of unacknowledged frames are kept to replay on the next socket. Default 8
    /// MiB.
    pub replay: usize,
    /// How long an acknowledgement waits for a message that can carry it. Default 25 ms.
    pub ack_delay: Duration,
    /// How often a silent peer is pinged. Default 10 s.
    pub ping: Duration,
    /// A socket is given up when nothing has arrived for this long. Default 30 s.
    pub keepalive_timeout: Duration,
    /// A socket is given up when it has accepted no bytes for this long. Default 30 s.
    pub write_timeout: Duration,
    /// How long a link without a socket waits for the next one. It has to be longer than
    /// `keepalive_timeout`, because the peer may need that long to notice that the socket is lost.
    /// Default 60 s.
    pub reconnect_timeout: Duration,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            mux: MuxConfig::default(),
            replay: 8 << 20,
            ack_delay: Duration::from_millis(25),
            ping: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            reconnect_timeout: Duration::from_secs(60),
        }
    }
}

/// Reacts to the events of a link. The driver calls these methods between reads, so they must not
/// block.
pub trait Handler: Send {
    /// The peer has opened a stream, and its first message has arrived.
    fn on_stream_opened(&mut self, stream: Stream, first: Message);
    /// A message has arrived on the control stream.
    fn on_control(&mut self, message: Message);
    /// The link has a socket, and the peer has sent its first packet on it.
    fn on_connected(&mut self) {}
    /// The socket is lost.
    fn on_disconnected(&mut self) {}
    /// The link has ended. This is called before any task that waits on the link learns of it, and
    /// before the guards of the link's streams are dropped.
    fn on_closed(&mut self, _end: &LinkEnd) {}
}

/// Opens another socket to the peer. An error is final.
pub type Dial = Box<dyn FnMut() -> BoxFuture<'static, Result<Io, String>> + Send>;

/// The source of a link's next socket.
pub enum SocketSource {
    /// The peer connects, and the listener sends the socket through this channel.
    Accepted(mpsc::Receiver<Io>),
    /// This side connects, until the reconnect timeout is over.
    Dialled(Dial),
}

impl std::fmt::Debug for SocketSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SocketSource::Accepted(_) => "Accepted",
            SocketSource::Dialled(_) => "Dialled",
        })
    }
}

/// The task of a link. Nothing moves until [`run`](Self::run) is polled.
#[must_use = "a link does nothing until its driver runs"]
pub struct Driver<H> {
    link: Link,
    config: LinkConfig,
    session: Session<Frame>,
    handler: H,
}

impl<H: Handler> Driver<H> {
    /// Makes a link and its driver. `handler` is called with a handle of the new link.
    pub fn new(side: Side, config: LinkConfig, handler: impl FnOnce(&Link) -> H) -> (Link, Self) {
        let link = Link::new(Mux::new(side, config.mux));
        let handler = handler(&link);
        let session = Session::new(config.replay, config.ack_delay);
        (link.clone(), Self { link, config, session, handler })
    }

    /// Runs the link over `first` and the sockets after it, until the link ends. Dropping the
    /// future ends the link as [lost](LinkEnd::Lost).
    pub async fn run(mut self, first: Io, mut sockets: SocketSource) -> Arc<LinkEnd> {
        let guard = FinishOnDrop(self.link.shared().clone());
        let mut io = first;
        let end = loop {
            match self.run_connection(io, &mut sockets).await {
                ConnectionEnd::LinkEnded(end) => break end,
                ConnectionEnd::Replaced(newer) => io = newer,
                ConnectionEnd::Lost(why) => {
                    tracing::debug!(why, "the socket of a link is lost");
                    self.session.disconnected();
                    self.handler.on_disconnected();
                    match self.next_socket(&mut sockets, why).await {
                        Ok(next) => io = next,
                        Err(end) => break end,
                    }
                }
            }
            self.session.disconnected();
        };
        self.handler.on_closed(&end);
        guard.finish(end)
    }

    async fn run_connection(&mut self, io: Io, sockets: &mut SocketSource) -> ConnectionEnd {
        self.session.connected();
        let mut connection =
            Connection::new(io, &self.link, &self.config, &mut self.session, &mut self.handler);
        let end = poll_fn(|cx| {
            // The peer may connect again before this side sees the old socket break.
            if let SocketSource::Accepted(newer) = sockets
                && let Poll::Ready(Some(newer)) = newer.poll_recv(cx)
            {
                return Poll::Ready(ConnectionEnd::Replaced(newer));
            }
            connection.poll(cx)
        })
        .await;
        connection.finish();
        end
    }

    async fn next_socket(
        &mut self,
        sockets: &mut SocketSource,
        why: String,
    ) -> Result<Io, LinkEnd> {
        let shared = self.link.shared().clone();
        let all_delivered = self.session.unacknowledged() == 0;
        let given_up = poll_fn(|cx| {
            shared.register_driver(cx);
            let state = shared.lock();
            match &state.close_request {
                // Messages that are not delivered yet need the next socket.
                Some(CloseRequest::Graceful) if all_delivered && state.mux.is_flushed_all() => {
                    Poll::Ready(LinkEnd::Closed)
                }
                Some(CloseRequest::Abort(why)) => {
                    Poll::Ready(LinkEnd::Aborted { why: why.clone() })
                }
                Some(CloseRequest::Graceful) | None => Poll::Pending,
            }
        });
        let lost = |why| LinkEnd::Lost { why };
        let next = async {
            match sockets {
                SocketSource::Accepted(next) => next.recv().await.ok_or_else(|| lost(why.clone())),
                SocketSource::Dialled(dial) => dial().await.map_err(lost),
            }
        };
        tokio::select! {
            end = given_up => Err(end),
            next = tokio::time::timeout(self.config.reconnect_timeout, next) => {
                next.unwrap_or_else(|_| Err(lost(why.clone())))
            }
        }
    }
}

/// Ends the link even if the driver's future is dropped.
struct FinishOnDrop(Arc<LinkShared>);

impl FinishOnDrop {
    fn finish(&self, end: LinkEnd) -> Arc<LinkEnd> {
        let mut deferred = Deferred::default();
        let end = self.0.lock().finish(end, &mut deferred);
        deferred.run();
        end
    }
}

impl Drop for FinishOnDrop {
    fn drop(&mut self) {
        self.finish(LinkEnd::Lost { why: "the link's task was dropped".to_owned() });
    }
}
