//! Forwards messages between a runner's socket and its parent's, until one of them ends.
//!
//! A pair is one task without buffers: bytes are read into a buffer that all pairs of a thread
//! share, rewritten there ([`frames`]), and written to the other socket. If that socket does not
//! accept all of them at once, the pair keeps the rest, and reads nothing more in that direction.
//! So an idle pair costs two sockets and a small task, and a busy one at most two buffers.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use frames::{Control, Forwarded, FrameError};
use side::Side;
pub(crate) use side::UpgradedSocket;
pub(crate) use table::{OpenPair, PairEnds, PairEntry, PairTable};

mod frames;
#[cfg(fuzzing)]
pub mod fuzzing;
mod side;
mod table;

/// How long a socket may take to accept the last bytes, and to close.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a direction is served before the other one gets its turn.
const ROUNDS: usize = 8;

/// The time limits of a pair, and the size of its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairLimits {
    /// The longest time that a socket may take to accept what is written to it.
    pub write_timeout: Duration,
    /// A pair without a message for this long is closed.
    pub idle_timeout: Duration,
    /// A socket that has been silent for this long is pinged.
    pub ping_interval: Duration,
    /// How long the answer to a ping may take.
    pub pong_timeout: Duration,
    /// The bytes that the relay buffers for a pair.
    pub bytes_per_pair: usize,
}

/// One of the two clients of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    Runner,
    Parent,
}

/// Why a pair has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PairEnd {
    /// A client has sent a close frame, with this payload.
    Closed(Peer, Vec<u8>),
    /// A client's connection broke.
    Lost(Peer),
    /// A client does not speak WebSocket as it should.
    Invalid(Peer, FrameError),
    /// A client did not answer a ping.
    Silent(Peer),
    /// A client did not read for too long.
    Blocked(Peer),
    /// There was no message for too long.
    Idle,
    /// The relay exits.
    Draining,
}

impl PairEnd {
    /// The reason in a word, for metrics and logs.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            PairEnd::Closed(Peer::Runner, _) => "closed_by_runner",
            PairEnd::Closed(Peer::Parent, _) => "closed_by_parent",
            PairEnd::Lost(Peer::Runner) => "runner_lost",
            PairEnd::Lost(Peer::Parent) => "parent_lost",
            PairEnd::Invalid(Peer::Runner, _) => "runner_invalid",
            PairEnd::Invalid(Peer::Parent, _) => "parent_invalid",
            PairEnd::Silent(Peer::Runner) => "runner_silent",
            PairEnd::Silent(Peer::Parent) => "parent_silent",
            PairEnd::Blocked(Peer::Runner) => "runner_blocked",
            PairEnd::Blocked(Peer::Parent) => "parent_blocked",
            PairEnd::Idle => "idle",
            PairEnd::Draining => "draining",
        }
    }

    /// The payload of the close frame for a client; `None` if nothing can be sent to it any more.
    fn close_payload_for(&self, peer: Peer) -> Option<Vec<u8>> {
        let going_away = |reason| Some(frames::close_payload(1001, reason));
        match self {
            // The client that closes gets its own code back, and so does the other one.
            PairEnd::Closed(_, payload) => Some(payload.clone()),
            PairEnd::Lost(who) | PairEnd::Silent(who) | PairEnd::Blocked(who) if *who == peer => {
                None
            }
            PairEnd::Invalid(who, error) if *who == peer => {
                let code = if *error == FrameError::Text { 1003 } else { 1002 };
                Some(frames::close_payload(code, &error.to_string()))
            }
            PairEnd::Lost(_) | PairEnd::Silent(_) | PairEnd::Blocked(_) | PairEnd::Invalid(..) => {
                going_away("the other side of this relay has disconnected")
            }
            PairEnd::Idle => going_away("there was no message for too long"),
            PairEnd::Draining => Some(frames::close_payload(1012, "this relay is restarting")),
        }
    }
}

/// A runner's socket and its parent's, after their upgrades.
pub(crate) struct Pair {
    runner: Side,
    parent: Side,
    limits: PairLimits,
    entry: PairEntry,
    last_message: Instant,
}

impl Pair {
    pub(crate) fn new(
        runner: UpgradedSocket,
        parent: UpgradedSocket,
        limits: PairLimits,
        entry: PairEntry,
    ) -> Self {
        let now = Instant::now();
        Self {
            runner: Side::new(Peer::Runner, runner, now),
            parent: Side::new(Peer::Parent, parent, now),
            limits,
            entry,
            last_message: now,
        }
    }

    /// Forwards until the pair ends, or until `closing` becomes true. Then closes both sockets.
    pub(crate) async fn run(mut self, closing: watch::Receiver<bool>) -> PairEnd {
        let end = self.forward(closing).await;
        self.close(&end).await;
        end
    }

    async fn forward(&mut self, mut closing: watch::Receiver<bool>) -> PairEnd {
        let mut timer = pin!(sleep_until(self.next_check()));
        let mut closing = pin!(closing.wait_for(|&closing| closing));
        poll_fn(|cx| {
            if closing.as_mut().poll(cx).is_ready() {
                return Poll::Ready(PairEnd::Draining);
            }
            self.poll(cx, timer.as_mut())
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<PairEnd> {
        if timer.as_mut().poll(cx).is_ready()
            && let Some(end) = self.check(Instant::now())
        {
            return Poll::Ready(end);
        }
        let end = with_buffer(self.limits.bytes_per_pair / 2, |buffer| {
            loop {
                let end = self.poll_direction(cx, Peer::Runner, buffer);
                if end.is_ready() {
                    return end;
                }
                let end = self.poll_direction(cx, Peer::Parent, buffer);
                // The second direction may have queued a pong for the first to write.
                if end.is_ready() || !self.parent.can_write_control(&self.runner) {
                    return end;
                }
            }
        });
        let next = self.next_check();
        if end.is_pending() && (timer.is_elapsed() || next < timer.deadline()) {
            timer.as_mut().reset(next);
            // Registers the task with the new deadline.
            if timer.poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        end
    }

    /// Forwards the bytes that `from` has sent, until the other side accepts no more.
    fn poll_direction(
        &mut self,
        cx: &mut Context<'_>,
        from: Peer,
        buffer: &mut [u8],
    ) -> Poll<PairEnd> {
        let (from, to) = match from {
            Peer::Runner => (&mut self.runner, &mut self.parent),
            Peer::Parent => (&mut self.parent, &mut self.runner),
        };
        for _ in 0..ROUNDS {
            if from.frames.is_between_frames() {
                to.queue_control();
            }
            let was_blocked = to.is_blocked();
            match to.poll_write(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(PairEnd::Lost(to.peer)),
                Poll::Ready(Ok(())) => {}
            }
            if was_blocked && !to.is_blocked() {
                // The relay has not listened to this side in the meantime.
                from.heard_now();
            }
            let start = from.frames.restore(buffer);
            let read = match from.poll_read(cx, &mut buffer[start..]) {
                Poll::Pending => {
                    return match to.poll_flush(cx) {
                        Poll::Ready(Err(_)) => Poll::Ready(PairEnd::Lost(to.peer)),
                        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                    };
                }
                Poll::Ready(Ok(read @ 1..)) => read,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(PairEnd::Lost(from.peer)),
            };
            from.heard_now();
            let forwarded = match from.frames.forward(&mut buffer[..start + read]) {
                Ok(forwarded) => forwarded,
                Err(error) => return Poll::Ready(PairEnd::Invalid(from.peer, error)),
            };
            let Forwarded { range, payload, control } = forwarded;
            if !range.is_empty() {
                self.last_message = Instant::now();
                self.entry.forwarded(self.last_message, to.peer, payload as u64);
                if to.write_now(cx, &buffer[range]).is_err() {
                    return Poll::Ready(PairEnd::Lost(to.peer));
                }
            }
            for control in control {
                match control {
                    Control::Ping(payload) => from.queue_pong(&payload),
                    Control::Pong => {}
                    Control::Close(payload) => {
                        return Poll::Ready(PairEnd::Closed(from.peer, payload));
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Pings the sides that are silent; says whether the pair has to end.
    fn check(&mut self, now: Instant) -> Option<PairEnd> {
        if now >= self.last_message + self.limits.idle_timeout {
            return Some(PairEnd::Idle);
        }
        let blocked = [self.parent.is_blocked(), self.runner.is_blocked()];
        for (side, other_is_blocked) in
            [&mut self.runner, &mut self.parent].into_iter().zip(blocked)
        {
            if let Some(end) = side.check(now, &self.limits, other_is_blocked) {
                return Some(end);
            }
        }
        None
    }

    /// When [`check`](Self::check) may have something to do.
    fn next_check(&self) -> Instant {
        let idle = self.last_message + self.limits.idle_timeout;
        let runner = self.runner.next_check(&self.limits, self.parent.is_blocked());
        let parent = self.parent.next_check(&self.limits, self.runner.is_blocked());
        runner.into_iter().chain(parent).fold(idle, Instant::min)
    }

    async fn close(&mut self, end: &PairEnd) {
        let Self { runner, parent, .. } = self;
        // A frame that is cut off can't be followed by a close frame.
        let to_runner = end.close_payload_for(Peer::Runner);
        let to_runner = to_runner.filter(|_| parent.frames.is_between_frames());
        let to_parent = end.close_payload_for(Peer::Parent);
        let to_parent = to_parent.filter(|_| runner.frames.is_between_frames());
        let both = async { tokio::join!(runner.close(to_runner), parent.close(to_parent)) };
        let _ = timeout(CLOSE_TIMEOUT, both).await;
    }
}

/// Lends the buffer that all pairs of this thread share.
fn with_buffer<T>(len: usize, borrow: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let len = len.max(4 * frames::MAX_HEADER);
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        borrow(&mut buffer[..len])
    })
}

#[cfg(test)]
mod tests;
