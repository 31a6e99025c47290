//! One socket of a link, from the first packet on it until the socket or the link ends.
//!
//! Each turn reads before it writes, so that replies made while reading leave in the same turn.
//! Reading goes on while writing is blocked, and the other way round, so that two full sockets
//! can't deadlock.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use flame_wire::frame::Frame;
use flame_wire::packet::Packet;
use flame_wire::session::Session;
use tokio::io::AsyncWrite;
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use super::{Handler, LinkConfig};
use crate::error::LinkEnd;
use crate::io::Io;
use crate::keepalive::{Keepalive, KeepaliveAction};
use crate::link::Link;
use crate::state::{CloseRequest, Deferred, LinkShared};

/// How many bytes are written at once: four TLS records.
const BATCH: usize = 64 * 1024;
/// How many bytes a read asks for: room for many small calls, and little memory for an idle link.
const READ: usize = 2 * 1024;
/// How many bytes a read asks for when the next packet is known to be longer: a whole batch.
const BULK_READ: usize = 64 * 1024;
/// How long a side that closes the link waits until the peer has received everything.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Connection<'a, H> {
    io: Io,
    link: &'a Link,
    shared: &'a LinkShared,
    config: &'a LinkConfig,
    session: &'a mut Session<Frame>,
    handler: &'a mut H,
    input: BytesMut,
    output: BytesMut,
    /// The last ping without a pong. Only the last one is answered, so that a peer that pings and
    /// does not read can't make the output grow.
    unanswered_ping: Option<u64>,
    needs_flush: bool,
    /// Since when the socket has accepted no bytes.
    stalled_since: Option<Instant>,
    keepalive: Keepalive,
    /// This side has sent `Close`, and waits until this time for the peer.
    close_deadline: Option<Instant>,
    peer_closed: bool,
    /// The peer has resumed the session, and the handler does not know yet.
    has_resumed: bool,
    timer: Pin<Box<Sleep>>,
    timer_deadline: Instant,
    deferred: Deferred,
}

/// Why a connection is over.
pub(super) enum ConnectionEnd {
    /// The link has ended, too.
    LinkEnded(LinkEnd),
    /// The socket is lost.
    Lost(String),
    /// The peer has connected again.
    Replaced(Io),
}

impl<'a, H: Handler> Connection<'a, H> {
    pub(super) fn new(
        io: Io,
        link: &'a Link,
        config: &'a LinkConfig,
        session: &'a mut Session<Frame>,
        handler: &'a mut H,
    ) -> Self {
        let now = now();
        Self {
            io,
            link,
            shared: link.shared(),
            config,
            session,
            handler,
            input: BytesMut::new(),
            output: BytesMut::new(),
            unanswered_ping: None,
            needs_flush: false,
            stalled_since: None,
            keepalive: Keepalive::new(now, config.ping, config.keepalive_timeout),
            close_deadline: None,
            peer_closed: false,
            has_resumed: false,
            timer: Box::pin(tokio::time::sleep_until((now + config.ping).into())),
            timer_deadline: now + config.ping,
            deferred: Deferred::default(),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionEnd> {
        self.shared.register_driver(cx);
        loop {
            match self.poll_turn(cx) {
                Ok(TurnProgress::Moved) => {}
                Ok(TurnProgress::Blocked { now }) => {
                    if let Err(end) = ready!(self.poll_timer(cx, now)) {
                        return Poll::Ready(end);
                    }
                }
                Err(end) => return Poll::Ready(end),
            }
        }
    }

    /// Wakes the tasks and drops the guards that still wait for it.
    pub(super) fn finish(mut self) {
        self.deferred.run();
    }

    /// Reads and writes once.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Result<TurnProgress, ConnectionEnd> {
        let has_read = self.poll_read(cx)?;
        let now = now();
        self.fill_output(now)?;
        let has_written = self.poll_write(cx, now)?;
        self.check_end()?;
        Ok(if has_read || has_written {
            TurnProgress::Moved
        } else {
            TurnProgress::Blocked { now }
        })
    }

    /// Reads once. Returns whether bytes have arrived.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionEnd> {
        if self.input.capacity() - self.input.len() < READ / 2 {
            // Bytes that are left over are the beginning of a longer packet.
            self.input.reserve(if self.input.is_empty() { READ } else { BULK_READ });
        }
        match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.input) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(self.socket_closed("the other side closed the connection")),
            Poll::Ready(Err(error)) => Err(self.socket_closed(error)),
            Poll::Ready(Ok(len)) => {
                self.shared.counter.received(len);
                let now = now();
                self.keepalive.received(now);
                let handled = self.handle_packets(now);
                self.notify();
                let violation = |why| ConnectionEnd::LinkEnded(LinkEnd::Violation { why });
                handled.map(|()| true).map_err(violation)
            }
        }
    }

    /// The socket has ended. The link has ended as well if this side has closed it and everything
    /// has been delivered.
    fn socket_closed(&self, why: impl ToString) -> ConnectionEnd {
        if self.close_deadline.is_some() && self.session.unacknowledged() == 0 {
            ConnectionEnd::LinkEnded(LinkEnd::Closed)
        } else {
            ConnectionEnd::Lost(why.to_string())
        }
    }

    /// Handles every packet that has arrived whole.
    fn handle_packets(&mut self, now: Instant) -> Result<(), String> {
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
                    self.has_resumed = true;
                }
                Packet::Ping { nonce } => self.unanswered_ping = Some(nonce),
                Packet::Pong { .. } => {}
                Packet::Close => {
                    // The peer waits until it knows that everything has arrived.
                    self.session.acknowledge().encode(&mut self.output);
                    self.peer_closed = true;
                }
            }
        }
        state.handle_events(&mut self.deferred);
        Ok(())
    }

    /// Calls the handler and wakes the waiting tasks, without holding the lock.
    fn notify(&mut self) {
        if std::mem::take(&mut self.has_resumed) {
            self.handler.on_connected();
        }
        for id in std::mem::take(&mut self.deferred.opened) {
            let first = self.shared.lock().mux.receive(id);
            let stream = self.link.stream(id);
            if let Some(first) = first {
                self.handler.on_stream_opened(stream, first);
            }
        }
        for message in std::mem::take(&mut self.deferred.control) {
            self.handler.on_control(message);
        }
        self.deferred.run();
    }

    /// Encodes the packets that are due, up to a batch.
    fn fill_output(&mut self, now: Instant) -> Result<(), ConnectionEnd> {
        if self.output.len() >= BATCH {
            return Ok(());
        }
        match self.keepalive.poll(now) {
            Some(KeepaliveAction::GiveUp) => {
                let timeout = self.config.keepalive_timeout.as_secs_f32();
                let why = format!("the other side was silent for {timeout} s");
                return Err(ConnectionEnd::Lost(why));
            }
            Some(KeepaliveAction::Ping) => {
                self.free_empty_buffers();
                Packet::Ping { nonce: 0 }.encode(&mut self.output);
            }
            None => {}
        }
        if let Some(nonce) = self.unanswered_ping.take() {
            Packet::Pong { nonce }.encode(&mut self.output);
        }
        let mut state = self.shared.lock();
        while self.output.len() < BATCH {
            if let Some(packet) = self.session.poll_packet(now) {
                packet.encode(&mut self.output);
            } else if self.session.is_resumed()
                && self.session.has_room()
                && let Some(frame) = state.mux.poll_frame()
            {
                self.session.send(frame);
            } else {
                break;
            }
        }
        state.handle_events(&mut self.deferred);
        match state.close_request.clone() {
            Some(CloseRequest::Abort(why)) => {
                return Err(ConnectionEnd::LinkEnded(LinkEnd::Aborted { why }));
            }
            // `is_flushed_all` looks at every stream, so it is asked last.
            Some(CloseRequest::Graceful)
                if self.close_deadline.is_none()
                    && self.session.is_resumed()
                    && self.session.is_idle()
                    && state.mux.is_flushed_all() =>
            {
                Packet::Close.encode(&mut self.output);
                self.close_deadline = Some(now + CLOSE_TIMEOUT);
            }
            Some(CloseRequest::Graceful) | None => {}
        }
        drop(state);
        self.notify();
        Ok(())
    }

    /// Nothing has arrived for a while: an idle link holds no large buffers.
    fn free_empty_buffers(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Writes and flushes. Returns whether bytes were written.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, ConnectionEnd> {
        let mut progress = false;
        while !self.output.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, &self.output) {
                Poll::Ready(Ok(0)) => {
                    return Err(ConnectionEnd::Lost("the socket accepts no bytes".to_owned()));
                }
                Poll::Ready(Ok(len)) => {
                    self.shared.counter.sent(len);
                    self.output.advance(len);
                    self.needs_flush = true;
                    progress = true;
                }
                Poll::Ready(Err(error)) => return Err(self.socket_closed(error)),
                Poll::Pending => break,
            }
        }
        if self.output.is_empty() {
            // Makes the whole capacity usable again.
            self.output.clear();
        }
        if self.needs_flush {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.needs_flush = false,
                Poll::Ready(Err(error)) => return Err(self.socket_closed(error)),
                Poll::Pending => {}
            }
        }
        if self.output.is_empty() && !self.needs_flush {
            self.stalled_since = None;
        } else if progress || self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
        Ok(progress)
    }

    /// Everything that the peer sent before its `Close` has been handled by now.
    fn check_end(&self) -> Result<(), ConnectionEnd> {
        match (self.peer_closed, self.close_deadline) {
            (false, _) => Ok(()),
            (true, Some(_)) => Err(ConnectionEnd::LinkEnded(LinkEnd::Closed)),
            (true, None) => Err(ConnectionEnd::LinkEnded(LinkEnd::ClosedByPeer)),
        }
    }

    /// Waits until something is due. An error means that a timeout is over.
    fn poll_timer(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<(), ConnectionEnd>> {
        let write_deadline = self.stalled_since.map(|since| since + self.config.write_timeout);
        if write_deadline.is_some_and(|deadline| deadline <= now) {
            let timeout = self.config.write_timeout.as_secs_f32();
            let why = format!("the socket accepted no bytes for {timeout} s");
            return Poll::Ready(Err(ConnectionEnd::Lost(why)));
        }
        if self.close_deadline.is_some_and(|deadline| deadline <= now) {
            return Poll::Ready(Err(ConnectionEnd::LinkEnded(LinkEnd::Closed)));
        }
        let deadlines = write_deadline.into_iter().chain(self.close_deadline);
        // While a full batch waits, no ping and no acknowledgement can be written anyway.
        let due = if self.output.len() < BATCH {
            let acknowledgement = self.session.poll_timeout();
            deadlines.chain(acknowledgement).fold(self.keepalive.poll_timeout(), Instant::min)
        } else {
            deadlines.min().unwrap_or(now + self.config.write_timeout)
        };
        // A timer that fires too early costs one turn. Resetting it for every packet would cost
        // more.
        if due < self.timer_deadline {
            self.reset_timer(due);
        }
        ready!(self.timer.as_mut().poll(cx));
        self.reset_timer(due);
        Poll::Ready(Ok(()))
    }

    fn reset_timer(&mut self, deadline: Instant) {
        self.timer_deadline = deadline;
        self.timer.as_mut().reset(deadline.into());
    }
}

/// The progress of one turn.
enum TurnProgress {
    /// Bytes were read or written, so the next turn may move more.
    Moved,
    /// The socket is blocked in both directions, or there was nothing to do.
    Blocked { now: Instant },
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
