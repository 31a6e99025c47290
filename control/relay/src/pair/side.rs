//! One socket of a pair, the bytes that wait to be written to it, and the time of its last sign of
//! life.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use super::frames::{FrameForwarder, write_close, write_ping, write_pong};
use super::{PairEnd, PairLimits, Peer};
use crate::socket::Socket;

/// The most bytes of control frames that wait to be written. A client that sends pings faster than
/// it reads gets no more pongs.
const MAX_CONTROL_QUEUE: usize = 1024;

/// A socket after its upgrade, and the bytes that the client sent right behind its request.
pub(crate) struct UpgradedSocket {
    pub(crate) socket: Socket,
    pub(crate) read_ahead: Bytes,
}

pub(super) struct Side {
    pub(super) peer: Peer,
    /// Where the relay is in the frames that this client sends.
    pub(super) frames: FrameForwarder,
    socket: UpgradedSocket,
    /// Bytes that the socket has not accepted yet.
    unsent: Vec<u8>,
    unsent_at: usize,
    needs_flush: bool,
    /// Control frames of the relay, to be written between two frames.
    control: Vec<u8>,
    /// Since when the socket has accepted nothing, although bytes wait.
    blocked_since: Option<Instant>,
    last_heard: Instant,
    is_pinged: bool,
}

impl Side {
    pub(super) fn new(peer: Peer, socket: UpgradedSocket, now: Instant) -> Self {
        Self {
            peer,
            frames: FrameForwarder::default(),
            socket,
            unsent: Vec::new(),
            unsent_at: 0,
            needs_flush: false,
            control: Vec::new(),
            blocked_since: None,
            last_heard: now,
            is_pinged: false,
        }
    }

    pub(super) fn heard_now(&mut self) {
        self.last_heard = Instant::now();
        self.is_pinged = false;
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    pub(super) fn queue_pong(&mut self, payload: &[u8]) {
        if self.control.len() < MAX_CONTROL_QUEUE {
            write_pong(payload, &mut self.control);
        }
    }

    /// Appends the control frames to the bytes that wait. To be called only between two frames.
    pub(super) fn queue_control(&mut self) {
        if !self.control.is_empty() {
            self.unsent.append(&mut self.control);
            self.control = Vec::new();
        }
    }

    /// Whether control frames could be written now that were queued after this side was served.
    pub(super) fn can_write_control(&self, from: &Side) -> bool {
        !self.control.is_empty() && !self.is_blocked() && from.frames.is_between_frames()
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let UpgradedSocket { socket, read_ahead } = &mut self.socket;
        if !read_ahead.is_empty() {
            let len = read_ahead.len().min(buffer.len());
            read_ahead.copy_to_slice(&mut buffer[..len]);
            if read_ahead.is_empty() {
                // Frees its memory.
                *read_ahead = Bytes::new();
            }
            return Poll::Ready(Ok(len));
        }
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(socket).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Writes the bytes that wait.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent_at < self.unsent.len() {
            let socket = Pin::new(&mut self.socket.socket);
            match socket.poll_write(cx, &self.unsent[self.unsent_at..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => self.unsent_at += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.blocked_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
            self.needs_flush = true;
        }
        if self.unsent_at > 0 {
            self.unsent = Vec::new();
            self.unsent_at = 0;
            self.blocked_since = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the bytes that the socket accepts at once, and keeps the rest. No bytes may wait
    /// already.
    pub(super) fn write_now(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match Pin::new(&mut self.socket.socket).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    bytes = &bytes[written..];
                    self.blocked_since = None;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.unsent.extend_from_slice(bytes);
                    break;
                }
            }
            self.needs_flush = true;
        }
        Ok(())
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.needs_flush {
            match Pin::new(&mut self.socket.socket).poll_flush(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    self.blocked_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
            self.needs_flush = false;
        }
        self.blocked_since = None;
        Poll::Ready(Ok(()))
    }

    /// Pings the client if it is silent; says whether the pair has to end. While the other side is
    /// blocked, the relay does not listen to this one.
    pub(super) fn check(
        &mut self,
        now: Instant,
        limits: &PairLimits,
        other_is_blocked: bool,
    ) -> Option<PairEnd> {
        if self.blocked_since.is_some_and(|since| now >= since + limits.write_timeout) {
            return Some(PairEnd::Blocked(self.peer));
        }
        if other_is_blocked || now < self.last_heard + limits.ping_interval {
            return None;
        }
        if now >= self.last_heard + limits.ping_interval + limits.pong_timeout {
            return Some(PairEnd::Silent(self.peer));
        }
        if !self.is_pinged {
            self.is_pinged = true;
            write_ping(&mut self.control);
        }
        None
    }

    /// When [`check`](Self::check) may have something to do; `None`: not before the other side is
    /// no longer blocked.
    pub(super) fn next_check(
        &self,
        limits: &PairLimits,
        other_is_blocked: bool,
    ) -> Option<Instant> {
        let pong = if self.is_pinged { limits.pong_timeout } else { Duration::ZERO };
        let silent = self.last_heard + limits.ping_interval + pong;
        let blocked = self.blocked_since.map(|since| since + limits.write_timeout);
        blocked.into_iter().chain((!other_is_blocked).then_some(silent)).min()
    }

    /// Writes the bytes that wait and a close frame with this payload. Then waits until the client
    /// has disconnected, so that the client can read all of them. Without a payload, does nothing.
    pub(super) async fn close(&mut self, payload: Option<Vec<u8>>) {
        let Some(payload) = payload else { return };
        let mut rest = self.unsent.split_off(self.unsent_at);
        rest.append(&mut self.control);
        write_close(&payload, &mut rest);
        let socket = &mut self.socket.socket;
        if socket.write_all(&rest).await.is_err() || socket.shutdown().await.is_err() {
            return;
        }
        let mut ignored = [0; 512];
        while let Ok(1..) = socket.read(&mut ignored).await {}
    }
}
