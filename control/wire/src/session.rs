//! The session: frames arrive exactly once and in order, over any number of sockets.
//!
//! Each side numbers its frames from 0 and keeps them until the peer has acknowledged them. On
//! every new socket both sides first say which number they expect next; what the peer lacks is
//! sent again, what it has is not.
//!
//! ```text
//! connected() ── Resume{next} ──▶      ◀── Resume{next} ── connected()
//!                Data{seq, ack, frame} ...      the next socket goes on where this one broke
//! ```
//!
//! Invariants:
//! 1. A frame given to [`Session::send`] comes out of the peer's [`Session::receive`] once, in order.
//! 2. What is kept for replay weighs at most `limit` bytes, or is a single frame.
//! 3. An acknowledgement waits at most `ack_delay`, or [`ACK_BYTES`] of received frames; mostly it
//!    rides on the next frame, so that a call costs one packet each way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::packet::Packet;

/// Received bytes after which an acknowledgement is sent by itself, at once.
pub const ACK_BYTES: usize = 128 * 1024;

/// What a frame weighs in the replay queue, in bytes.
pub trait Weight {
    /// The weight, in bytes; never 0, so that frames without payload are bounded too.
    fn weight(&self) -> usize;
}

impl Weight for crate::frame::Frame {
    fn weight(&self) -> usize {
        self.encoded_len()
    }
}

/// The peer broke the protocol; the link cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A packet came before `Resume`, or a second `Resume` came.
    #[error("a packet came before the session was resumed, or it was resumed twice")]
    Order,
    /// A number was left out, although the socket is ordered.
    #[error("expected frame {want}, but frame {got} came")]
    Gap {
        /// The number expected.
        want: u64,
        /// The number that came.
        got: u64,
    },
    /// An acknowledgement of what was never sent.
    #[error("the peer acknowledged frame {got}, but only {sent} were sent")]
    Ack {
        /// The number acknowledged.
        got: u64,
        /// How many frames were sent.
        sent: u64,
    },
    /// The peer wants frames that it had acknowledged: it has lost its state.
    #[error("the peer wants frame {want}, which it had acknowledged: it is not the same process")]
    Amnesia {
        /// The number that the peer wants.
        want: u64,
    },
}

/// The state of one side.
#[derive(Debug)]
pub struct Session<F> {
    limit: usize,
    ack_delay: Duration,
    /// Sent and not acknowledged, or not yet sent; `replay[0]` has number `first`.
    replay: VecDeque<F>,
    first: u64,
    replay_bytes: usize,
    /// The number of the next frame for this socket.
    cursor: u64,
    /// The next number wanted from the peer.
    expect: u64,
    untold_bytes: usize,
    ack_due: Option<Instant>,
    socket: Socket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    Down,
    /// `greeted`: our `Resume` went out. `resumed`: the peer's came in. In either order.
    Up {
        greeted: bool,
        resumed: bool,
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
            untold_bytes: 0,
            ack_due: None,
            socket: Socket::Down,
        }
    }

    /// Whether [`send`](Self::send) may be called now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.replay_bytes < self.limit
    }

    /// Queues a frame. Call it only while there is [room](Self::has_room): the last frame taken
    /// may go beyond the limit, by less than its own weight.
    pub fn send(&mut self, frame: F) {
        self.replay_bytes += frame.weight();
        self.replay.push_back(frame);
    }

    /// Frames that the peer has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.replay.len()
    }

    /// Whether both sides have greeted on this socket, so that frames can flow.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        matches!(self.socket, Socket::Up { resumed: true, .. })
    }

    /// Whether every frame has been put on this socket.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.cursor == self.first + self.replay.len() as u64
    }

    /// A new socket stands.
    pub fn connected(&mut self) {
        self.socket = Socket::Up { greeted: false, resumed: false };
    }

    /// The socket is gone; frames wait for the next one.
    pub fn disconnected(&mut self) {
        self.socket = Socket::Down;
        self.ack_due = None;
    }

    /// The next packet for the socket.
    #[must_use = "a packet that was polled must be sent"]
    pub fn poll_packet(&mut self, now: Instant) -> Option<Packet<F>> {
        let Socket::Up { greeted, resumed } = &mut self.socket else { return None };
        if !std::mem::replace(greeted, true) {
            return Some(Packet::Resume { next: self.tell() });
        }
        if !*resumed {
            return None;
        }
        let at = usize::try_from(self.cursor - self.first).ok()?;
        if let Some(frame) = self.replay.get(at).cloned() {
            let seq = self.cursor;
            self.cursor += 1;
            return Some(Packet::Data { seq, ack: self.tell(), frame });
        }
        let due = self.ack_due.is_some_and(|due| due <= now);
        (due || self.untold_bytes >= ACK_BYTES).then(|| Packet::Ack { next: self.tell() })
    }

    /// When [`poll_packet`](Self::poll_packet) will have an acknowledgement to give.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ack_due
    }

    /// The peer's `Resume`.
    ///
    /// # Errors
    /// [`Violation`]: end the link.
    pub fn resumed(&mut self, next: u64) -> Result<(), Violation> {
        let Socket::Up { resumed: resumed @ false, .. } = &mut self.socket else {
            return Err(Violation::Order);
        };
        *resumed = true;
        if next < self.first {
            return Err(Violation::Amnesia { want: next });
        }
        self.acknowledged(next)?;
        self.cursor = next;
        Ok(())
    }

    /// The peer has everything below `next`.
    ///
    /// # Errors
    /// [`Violation`]: end the link.
    pub fn acknowledged(&mut self, next: u64) -> Result<(), Violation> {
        let sent = self.first + self.replay.len() as u64;
        if next > sent {
            return Err(Violation::Ack { got: next, sent });
        }
        while self.first < next {
            let Some(frame) = self.replay.pop_front() else { break };
            self.replay_bytes -= frame.weight();
            self.first += 1;
        }
        self.cursor = self.cursor.max(self.first);
        Ok(())
    }

    /// A frame from the socket; gives it back if it is new.
    ///
    /// # Errors
    /// [`Violation`]: end the link.
    pub fn receive(
        &mut self,
        now: Instant,
        seq: u64,
        ack: u64,
        frame: F,
    ) -> Result<Option<F>, Violation> {
        if !self.is_resumed() {
            return Err(Violation::Order);
        }
        self.acknowledged(ack)?;
        if seq < self.expect {
            return Ok(None);
        }
        if seq > self.expect {
            return Err(Violation::Gap { want: self.expect, got: seq });
        }
        self.expect += 1;
        self.untold_bytes += frame.weight();
        self.ack_due.get_or_insert(now + self.ack_delay);
        Ok(Some(frame))
    }

    /// An acknowledgement of all that has arrived, now.
    #[must_use = "a packet that was made must be sent"]
    pub fn acknowledge(&mut self) -> Packet<F> {
        Packet::Ack { next: self.tell() }
    }

    fn tell(&mut self) -> u64 {
        self.untold_bytes = 0;
        self.ack_due = None;
        self.expect
    }
}

#[cfg(test)]
mod tests;
