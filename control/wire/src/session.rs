//! The session: frames arrive exactly once and in order, over any number of sockets.
//!
//! Each side numbers its frames from 0, and keeps each one until the peer has acknowledged it. On
//! every new socket both sides first send the number that they expect next. Then each side resends
//! exactly the frames that the peer lacks.
//!
//! ```text
//! connected() ── Resume{next} ──▶      ◀── Resume{next} ── connected()
//!                Data{seq, ack, frame} ...      the next socket continues where this one broke
//! ```
//!
//! Invariants:
//! 1. Each frame passed to [`Session::send`] comes out of the peer's [`Session::receive`] once, and
//!    in order.
//! 2. The frames kept for replay weigh at most `limit` bytes, or there is only one.
//! 3. An acknowledgement is delayed by at most `ack_delay`, or by [`ACK_BYTES`] of received frames.
//!    Usually the next frame carries it, so that a call costs one packet each way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::packet::Packet;

/// After this many received bytes, an acknowledgement is sent at once.
pub const ACK_BYTES: usize = 128 * 1024;

/// How much memory a frame occupies in the replay queue.
pub trait Weight {
    /// The weight in bytes. It is never 0, so that frames without payload are bounded as well.
    fn weight(&self) -> usize;
}

impl Weight for crate::frame::Frame {
    fn weight(&self) -> usize {
        self.encoded_len()
    }
}

/// The peer broke the protocol. The link cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionViolation {
    /// A packet arrived before `Resume`, or a second `Resume` arrived.
    #[error("a packet arrived before the session was resumed, or the session was resumed twice")]
    NotResumed,
    /// The peer skipped a number.
    #[error("expected frame {want}, but frame {got} arrived")]
    Gap {
        /// The number expected.
        want: u64,
        /// The number that arrived.
        got: u64,
    },
    /// The peer acknowledged a frame that was never sent.
    #[error("the peer acknowledged frame {got}, but only {sent} were sent")]
    Ack {
        /// The number acknowledged.
        got: u64,
        /// How many frames were sent.
        sent: u64,
    },
    /// The peer expects a frame that it has acknowledged before, so it has lost its state.
    #[error("the peer expects frame {want}, which it has acknowledged: it is another process")]
    StateLost {
        /// The number that the peer expects.
        want: u64,
    },
}

/// One side's session.
#[derive(Debug)]
pub struct Session<F> {
    limit: usize,
    ack_delay: Duration,
    /// Frames that were not acknowledged, or not sent yet. `replay[0]` has the number `first`.
    replay: VecDeque<F>,
    first: u64,
    replay_bytes: usize,
    /// The number of the next frame to send on this socket.
    cursor: u64,
    /// The number that is expected next from the peer.
    expect: u64,
    /// Received bytes that were not acknowledged.
    unacknowledged_bytes: usize,
    ack_due: Option<Instant>,
    socket: SocketState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SocketState {
    Down,
    Up {
        /// Our `Resume` was sent.
        sent_resume: bool,
        /// The peer's `Resume` has arrived.
        received_resume: bool,
    },
}

impl<F: Weight + Clone> Session<F> {
    /// A session that keeps at most `limit` bytes for replay.
    #[must_use]
    pub fn new(limit: usize, ack_delay: Duration) -> Self {
        Self {
            limit,
            ack_delay,
            replay: VecDeque::new(),
            first: 0,
            replay_bytes: 0,
            cursor: 0,
            expect: 0,
            unacknowledged_bytes: 0,
            ack_due: None,
            socket: SocketState::Down,
        }
    }

    /// Whether [`send`](Self::send) may be called.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.replay_bytes < self.limit
    }

    /// Queues a frame. Call this only while there is [room](Self::has_room). The last frame may
    /// exceed the limit by less than its own weight.
    pub fn send(&mut self, frame: F) {
        self.replay_bytes += frame.weight();
        self.replay.push_back(frame);
    }

    /// The number of frames that the peer has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.replay.len()
    }

    /// Whether the peer has resumed the session on this socket, so that frames can be exchanged.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        matches!(self.socket, SocketState::Up { received_resume: true, .. })
    }

    /// Whether every frame was sent on this socket.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.cursor == self.first + self.replay.len() as u64
    }

    /// A new socket is connected.
    pub fn connected(&mut self) {
        self.socket = SocketState::Up { sent_resume: false, received_resume: false };
    }

    /// The socket is lost. Frames wait for the next one.
    pub fn disconnected(&mut self) {
        self.socket = SocketState::Down;
        self.ack_due = None;
    }

    /// The next packet to send on the socket.
    #[must_use = "a packet that was polled must be sent"]
    pub fn poll_packet(&mut self, now: Instant) -> Option<Packet<F>> {
        let SocketState::Up { sent_resume, received_resume } = &mut self.socket else {
            return None;
        };
        if !std::mem::replace(sent_resume, true) {
            return Some(Packet::Resume { next: self.take_ack() });
        }
        if !*received_resume {
            return None;
        }
        let at = usize::try_from(self.cursor - self.first).ok()?;
        if let Some(frame) = self.replay.get(at).cloned() {
            let seq = self.cursor;
            self.cursor += 1;
            return Some(Packet::Data { seq, ack: self.take_ack(), frame });
        }
        let due = self.ack_due.is_some_and(|due| due <= now);
        (due || self.unacknowledged_bytes >= ACK_BYTES)
            .then(|| Packet::Ack { next: self.take_ack() })
    }

    /// When [`poll_packet`](Self::poll_packet) will return an acknowledgement.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ack_due
    }

    /// The peer's `Resume` has arrived.
    ///
    /// # Errors
    /// [`SessionViolation`]: end the link.
    pub fn resumed(&mut self, next: u64) -> Result<(), SessionViolation> {
        let SocketState::Up { received_resume: received_resume @ false, .. } = &mut self.socket
        else {
            return Err(SessionViolation::NotResumed);
        };
        *received_resume = true;
        if next < self.first {
            return Err(SessionViolation::StateLost { want: next });
        }
        self.acknowledged(next)?;
        self.cursor = next;
        Ok(())
    }

    /// The peer has received all frames below `next`.
    ///
    /// # Errors
    /// [`SessionViolation`]: end the link.
    pub fn acknowledged(&mut self, next: u64) -> Result<(), SessionViolation> {
        let sent = self.first + self.replay.len() as u64;
        if next > sent {
            return Err(SessionViolation::Ack { got: next, sent });
        }
        while self.first < next {
            let Some(frame) = self.replay.pop_front() else { break };
            self.replay_bytes -= frame.weight();
            self.first += 1;
        }
        self.cursor = self.cursor.max(self.first);
        Ok(())
    }

    /// A frame has arrived on the socket. Returns it unless it is a duplicate.
    ///
    /// # Errors
    /// [`SessionViolation`]: end the link.
    pub fn receive(
        &mut self,
        now: Instant,
        seq: u64,
        ack: u64,
        frame: F,
    ) -> Result<Option<F>, SessionViolation> {
        if !self.is_resumed() {
            return Err(SessionViolation::NotResumed);
        }
        self.acknowledged(ack)?;
        if seq < self.expect {
            return Ok(None);
        }
        if seq > self.expect {
            return Err(SessionViolation::Gap { want: self.expect, got: seq });
        }
        self.expect += 1;
        self.unacknowledged_bytes += frame.weight();
        self.ack_due.get_or_insert(now + self.ack_delay);
        Ok(Some(frame))
    }

    /// An acknowledgement of everything that has arrived so far.
    #[must_use = "a packet that was made must be sent"]
    pub fn acknowledge(&mut self) -> Packet<F> {
        Packet::Ack { next: self.take_ack() }
    }

    fn take_ack(&mut self) -> u64 {
        self.unacknowledged_bytes = 0;
        self.ack_due = None;
        self.expect
    }
}

#[cfg(test)]
mod tests;
