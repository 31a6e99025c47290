//! The driver of a link: one task that moves packets between the socket and the state machines,
//! tells them the time, and takes a new socket when one is lost.
//!
//! ```text
//!          ┌──────────────── no socket within the grace ──────────────┐
//! socket ──▶ pump ── lost or silent ──▶ wait for the next ── socket ──┘──▶ end
//!             └── closed by either side, aborted, protocol broken ───────▶ end
//! ```
//!
//! Within the pump, reading goes before writing, so that answers made while reading leave in the
//! same turn; and both go on while the other is blocked, so that two full sockets can't lock.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use flame_wire::frame::Frame;
use flame_wire::mux::{Message, Mux, MuxConfig, Side};
use flame_wire::packet::Packet;
use flame_wire::session::Session;
use futures_util::future::{BoxFuture, poll_fn};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use crate::handle::{Aftermath, Link, LinkEnd, Shared, Stream, Wish};
use crate::io::Io;
use crate::keepalive::{Due, Keepalive};

/// Bytes written at once: four TLS records.
const BATCH: usize = 64 * 1024;
/// Bytes that a read asks for: many small calls, and little for each idle link to hold.
const READ: usize = 2 * 1024;
/// What is asked for when a packet is known to be longer: a whole batch.
const BULK_READ: usize = 64 * 1024;
/// How long a closing side waits for the other to have everything.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// The limits of a link.
#[derive(Debug, Clone, Copy)]
pub struct LinkConfig {
    /// Limits of the mux.
    pub mux: MuxConfig,
    /// Bytes kept for replay after a cut. Default 8 MiB.
    pub replay: usize,
    /// How long an acknowledgement may wait for a message to ride on. Default 25 ms.
    pub ack_delay: Duration,
    /// A silent peer is pinged so often. Default 10 s.
    pub ping: Duration,
    /// A socket is given up when so long nothing came. Default 30 s.
    pub keepalive_timeout: Duration,
    /// A socket is given up when it takes no bytes for so long. Default 30 s.
    pub write_timeout: Duration,
    /// How long a link without a socket waits for the next. Longer than `keepalive_timeout`, since the other
    /// side may notice only then that the socket is lost. Default 60 s.
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

/// What the owner of a link does with what the other side sends. Called by the driver between
/// reads: it must not block.
pub trait Handler: Send {
    /// The other side has opened a stream, and this is its first message.
    fn opened(&mut self, stream: Stream, first: Message);
    /// A message on the control stream.
    fn control(&mut self, message: Message);
    /// The socket is lost (`false`), or the other side is there on a new one (`true`).
    fn connected(&mut self, _up: bool) {}
    /// The link is over; called before anyone who waits on it learns that, and before the guards
    /// of its streams are dropped.
    fn over(&mut self, _end: &LinkEnd) {}
}

/// Dials once more; an error is final.
pub type Dial = Box<dyn FnMut() -> BoxFuture<'static, Result<Io, String>> + Send>;

/// Where a link's next socket comes from.
pub enum Sockets {
    /// The other side dials, and the listener sends it here.
    Accepted(mpsc::Receiver<Io>),
    /// This side dials, again and again until the grace is over.
    Dialled(Dial),
}

impl std::fmt::Debug for Sockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Sockets::Accepted(_) => "Accepted",
            Sockets::Dialled(_) => "Dialled",
        })
    }
}

/// The task of a link; nothing moves unless [`run`](Self::run) is polled.
#[must_use = "a link without its driver stands still"]
pub struct Driver<H> {
    link: Link,
    config: LinkConfig,
    session: Session<Frame>,
    handler: H,
}

impl<H: Handler> Driver<H> {
    /// A link and its driver; `handler` gets a handle to make use of.
    pub fn new(side: Side, config: LinkConfig, handler: impl FnOnce(&Link) -> H) -> (Link, Self) {
        let link = Link::new(Mux::new(side, config.mux));
        let handler = handler(&link);
        let session = Session::new(config.replay, config.ack_delay);
        (link.clone(), Self { link, config, session, handler })
    }

    /// Runs the link over `first` and the sockets after it, until it is over. Dropping the future
    /// ends the link as lost.
    pub async fn run(mut self, first: Io, mut sockets: Sockets) -> Arc<LinkEnd> {
        let guard = EndOnDrop(self.link.shared().clone());
        let mut io = first;
        let end = loop {
            match self.pump(io, &mut sockets).await {
                SocketEnd::Over(end) => break end,
                SocketEnd::Replaced(newer) => io = newer,
                SocketEnd::Lost(why) => {
                    tracing::debug!(why, "the socket of a link is lost");
                    self.session.disconnected();
                    self.handler.connected(false);
                    match self.next_socket(&mut sockets, why).await {
                        Ok(next) => io = next,
                        Err(end) => break end,
                    }
                }
            }
            self.session.disconnected();
        };
        self.handler.over(&end);
        guard.finish(end)
    }

    async fn pump(&mut self, io: Io, sockets: &mut Sockets) -> SocketEnd {
        self.session.connected();
        let now = now();
        let mut pump = Pump {
            shared: self.link.shared(),
            link: &self.link,
            config: &self.config,
            session: &mut self.session,
            handler: &mut self.handler,
            io,
            input: BytesMut::new(),
            out: BytesMut::new(),
            pong: None,
            unflushed: false,
            stalled: None,
            keepalive: Keepalive::new(now, self.config.ping, self.config.keepalive_timeout),
            closing: None,
            peer_closed: false,
            greeted: false,
            sleep: Box::pin(tokio::time::sleep_until((now + self.config.ping).into())),
            armed: now + self.config.ping,
            aftermath: Aftermath::default(),
        };
        let end = poll_fn(|cx| {
            if let Sockets::Accepted(newer) = sockets
                && let Poll::Ready(Some(newer)) = newer.poll_recv(cx)
            {
                return Poll::Ready(SocketEnd::Replaced(newer));
            }
            pump.poll(cx)
        })
        .await;
        pump.aftermath.settle();
        end
    }

    async fn next_socket(&mut self, sockets: &mut Sockets, why: String) -> Result<Io, LinkEnd> {
        let shared = self.link.shared().clone();
        let delivered = self.session.unacknowledged() == 0;
        let given_up = poll_fn(|cx| {
            shared.register_driver(cx);
            let state = shared.lock();
            match &state.wish {
                // What is not delivered yet waits for the next socket even so.
                Wish::Close if delivered && state.mux.is_flushed_all() => {
                    Poll::Ready(LinkEnd::Closed)
                }
                Wish::Stay | Wish::Close => Poll::Pending,
                Wish::Abort(why) => Poll::Ready(LinkEnd::Aborted { why: why.clone() }),
            }
        });
        let lost = |why| LinkEnd::Lost { why };
        let next = async {
            match sockets {
                Sockets::Accepted(next) => next.recv().await.ok_or_else(|| lost(why.clone())),
                Sockets::Dialled(dial) => dial().await.map_err(lost),
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

/// Ends the link also when the driver's task is dropped.
struct EndOnDrop(Arc<Shared>);

impl EndOnDrop {
    fn finish(&self, end: LinkEnd) -> Arc<LinkEnd> {
        let mut aftermath = Aftermath::default();
        let end = self.0.lock().finish(end, &mut aftermath);
        aftermath.settle();
        end
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.finish(LinkEnd::Lost { why: "the link's task was dropped".to_owned() });
    }
}

enum SocketEnd {
    Over(LinkEnd),
    Lost(String),
    /// The other side has dialled again before this side saw the old socket break.
    Replaced(Io),
}

struct Pump<'a, H> {
    shared: &'a Shared,
    link: &'a Link,
    config: &'a LinkConfig,
    session: &'a mut Session<Frame>,
    handler: &'a mut H,
    io: Io,
    input: BytesMut,
    out: BytesMut,
    /// The last ping that is not answered yet. A peer that pings and does not read gets no more.
    pong: Option<u64>,
    unflushed: bool,
    /// Since when the socket takes nothing.
    stalled: Option<Instant>,
    keepalive: Keepalive,
    /// Until when this side, closing, waits for the other.
    closing: Option<Instant>,
    peer_closed: bool,
    /// The other side has greeted, and the handler has not been told.
    greeted: bool,
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
    aftermath: Aftermath,
}

impl<H: Handler> Pump<'_, H> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SocketEnd> {
        self.shared.register_driver(cx);
        loop {
            let read = match self.poll_read(cx) {
                Ok(progress) => progress,
                Err(end) => return Poll::Ready(end),
            };
            let now = now();
            if let Err(end) = self.fill(now) {
                return Poll::Ready(end);
            }
            let written = match self.poll_write(cx, now) {
                Ok(progress) => progress,
                Err(end) => return Poll::Ready(end),
            };
            if let Some(end) = self.check_end() {
                return Poll::Ready(end);
            }
            if !read
                && !written
                && let Err(end) = ready!(self.poll_clock(cx, now))
            {
                return Poll::Ready(end);
            }
        }
    }

    /// Reads what is there, once; whether there was anything.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, SocketEnd> {
        if self.input.capacity() - self.input.len() < READ / 2 {
            // What is left over is the front of a packet that is on its way.
            self.input.reserve(if self.input.is_empty() { READ } else { BULK_READ });
        }
        match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.input) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(self.hung_up("the other side hung up")),
            Poll::Ready(Err(error)) => Err(self.hung_up(error)),
            Poll::Ready(Ok(_)) => {
                let now = now();
                self.keepalive.heard(now);
                let taken = self.take_in(now);
                self.hand_over();
                taken.map(|()| true).map_err(|why| SocketEnd::Over(LinkEnd::Violation { why }))
            }
        }
    }

    /// The end of a socket is that of a link which closes, once all has been delivered.
    fn hung_up(&self, why: impl ToString) -> SocketEnd {
        if self.closing.is_some() && self.session.unacknowledged() == 0 {
            SocketEnd::Over(LinkEnd::Closed)
        } else {
            SocketEnd::Lost(why.to_string())
        }
    }

    /// Works off the packets that are whole.
    fn take_in(&mut self, now: Instant) -> Result<(), String> {
        let mut state = self.shared.lock();
        while let Some(packet) = Packet::decode(&mut self.input).map_err(text)? {
            match packet {
                Packet::Data { seq, ack, frame } => {
                    if let Some(frame) = self.session.receive(now, seq, ack, frame).map_err(text)? {
                        state.mux.handle_frame(frame).map_err(text)?;
                    }
                }
                Packet::Ack { next } => self.session.acknowledged(next).map_err(text)?,
                Packet::Resume { next } => {
                    self.session.resumed(next).map_err(text)?;
                    self.greeted = true;
                }
                Packet::Ping { nonce } => self.pong = Some(nonce),
                Packet::Pong { .. } => {}
                Packet::Close => {
                    // The other side waits for this: it must know that all has arrived.
                    self.session.acknowledge().encode(&mut self.out);
                    self.peer_closed = true;
                }
            }
        }
        state.take_events(&mut self.aftermath);
        Ok(())
    }

    /// Tells the handler and the waiting tasks what came, without the lock.
    fn hand_over(&mut self) {
        if std::mem::take(&mut self.greeted) {
            self.handler.connected(true);
        }
        for id in std::mem::take(&mut self.aftermath.opened) {
            let first = self.shared.lock().mux.receive(id);
            let stream = self.link.stream(id);
            if let Some(first) = first {
                self.handler.opened(stream, first);
            }
        }
        for message in std::mem::take(&mut self.aftermath.control) {
            self.handler.control(message);
        }
        self.aftermath.settle();
    }

    /// Encodes what is to be sent, up to a batch.
    fn fill(&mut self, now: Instant) -> Result<(), SocketEnd> {
        if self.out.len() >= BATCH {
            return Ok(());
        }
        match self.keepalive.poll(now) {
            Some(Due::Silent) => {
                let keepalive_timeout = self.config.keepalive_timeout.as_secs_f32();
                return Err(SocketEnd::Lost(format!(
                    "the other side was silent for {keepalive_timeout} s"
                )));
            }
            Some(Due::Ping) => {
                // Nothing has come for a while: a link that idles holds no large buffers.
                if self.input.is_empty() {
                    self.input = BytesMut::new();
                }
                if self.out.is_empty() {
                    self.out = BytesMut::new();
                }
                Packet::Ping { nonce: 0 }.encode(&mut self.out);
            }
            None => {}
        }
        if let Some(nonce) = self.pong.take() {
            Packet::Pong { nonce }.encode(&mut self.out);
        }
        let mut state = self.shared.lock();
        while self.out.len() < BATCH {
            if let Some(packet) = self.session.poll_packet(now) {
                packet.encode(&mut self.out);
            } else if self.session.is_resumed()
                && self.session.has_room()
                && let Some(frame) = state.mux.poll_frame()
            {
                self.session.send(frame);
            } else {
                break;
            }
        }
        state.take_events(&mut self.aftermath);
        let wish = state.wish.clone();
        // Asked only when it matters: it looks at each stream.
        let quiet = wish == Wish::Close
            && self.closing.is_none()
            && self.session.is_resumed()
            && self.session.is_idle()
            && state.mux.is_flushed_all();
        drop(state);
        match wish {
            Wish::Abort(why) => return Err(SocketEnd::Over(LinkEnd::Aborted { why })),
            Wish::Close if quiet => {
                Packet::Close.encode(&mut self.out);
                self.closing = Some(now + CLOSE_PATIENCE);
            }
            _ => {}
        }
        self.hand_over();
        Ok(())
    }

    /// Writes and flushes; whether anything moved.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, SocketEnd> {
        let mut progress = false;
        while !self.out.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => {
                    return Err(SocketEnd::Lost("the socket takes no bytes".to_owned()));
                }
                Poll::Ready(Ok(len)) => {
                    self.out.advance(len);
                    self.unflushed = true;
                    progress = true;
                }
                Poll::Ready(Err(error)) => return Err(self.hung_up(error)),
                Poll::Pending => break,
            }
        }
        if self.out.is_empty() {
            // Back to the front of the buffer.
            self.out.clear();
        }
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(self.hung_up(error)),
                Poll::Pending => {}
            }
        }
        if self.out.is_empty() && !self.unflushed {
            self.stalled = None;
        } else if progress || self.stalled.is_none() {
            self.stalled = Some(now);
        }
        Ok(progress)
    }

    fn check_end(&mut self) -> Option<SocketEnd> {
        if !self.peer_closed {
            return None;
        }
        if self.closing.is_some() {
            return Some(SocketEnd::Over(LinkEnd::Closed));
        }
        // The other side waits for this side's hang-up; all that it sent has been worked off.
        Some(SocketEnd::Over(LinkEnd::ClosedByPeer))
    }

    /// Waits for the next point in time at which something is due; ready when one is.
    fn poll_clock(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), SocketEnd>> {
        let stalled = self.stalled.map(|since| since + self.config.write_timeout);
        if stalled.is_some_and(|limit| limit <= now) {
            let limit = self.config.write_timeout.as_secs_f32();
            let why = format!("the socket took no bytes for {limit} s");
            return Poll::Ready(Err(SocketEnd::Lost(why)));
        }
        if self.closing.is_some_and(|limit| limit <= now) {
            return Poll::Ready(Err(SocketEnd::Over(LinkEnd::Closed)));
        }
        let limits = stalled.into_iter().chain(self.closing);
        // With a full batch waiting, pings and acknowledgements could not be written anyway.
        let due = if self.out.len() < BATCH {
            let packets = self.session.poll_timeout().into_iter();
            limits.chain(packets).fold(self.keepalive.poll_timeout(), Instant::min)
        } else {
            limits.min().unwrap_or(now + self.config.write_timeout)
        };
        // A timer that rings too early costs a look; a reset for every packet would cost more.
        if due < self.armed {
            self.armed = due;
            self.sleep.as_mut().reset(due.into());
        }
        ready!(self.sleep.as_mut().poll(cx));
        self.armed = due;
        self.sleep.as_mut().reset(due.into());
        Poll::Ready(Ok(()))
    }
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
