//! One direction of a stream, at its sender.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::{FRAME_COST, SendError};
use crate::frame::{Data, MAX_FRAME, Start, StreamId};

/// The header of a message's first frame, without the streams opened beside.
const HEADER: usize = 10 + 9 + 2;

/// The bytes of a message, in parts, so that large ones need not be copied together.
#[derive(Debug, Default, Clone)]
pub struct Payload {
    first: Bytes,
    rest: VecDeque<Bytes>,
}

impl Payload {
    /// A payload of `head` and then `parts`.
    pub fn new(head: Bytes, parts: impl IntoIterator<Item = Bytes>) -> Self {
        Self { first: head, rest: parts.into_iter().collect() }
    }

    /// The length of all parts, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        std::iter::once(&self.first).chain(&self.rest).map(|part| part.len() as u64).sum()
    }

    /// Whether there is not a byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts off at most `max` bytes of the front, never across two parts.
    fn cut(&mut self, max: usize) -> Bytes {
        while self.first.is_empty() {
            let Some(part) = self.rest.pop_front() else { return Bytes::new() };
            self.first = part;
        }
        self.first.split_to(self.first.remaining().min(max))
    }
}

impl From<Bytes> for Payload {
    fn from(first: Bytes) -> Self {
        Self { first, rest: VecDeque::new() }
    }
}

#[derive(Debug)]
struct Outgoing {
    tag: u8,
    total: u64,
    left: u64,
    payload: Payload,
    end: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The last message is queued.
    Ending,
    /// The end is out, or the direction was given up.
    Done,
}

#[derive(Debug)]
pub(super) struct Outbound {
    queue: VecDeque<Outgoing>,
    queued: u64,
    window: u32,
    credit: i64,
    /// The most messages that may be sent and not read.
    limit: Option<u32>,
    /// Messages that were queued and that the peer has not read, as far as it has said.
    unread: u64,
    phase: Phase,
    /// The peer has not heard of the stream.
    fresh: bool,
    /// Waits for the first message of the stream that it was opened beside.
    corked: bool,
    /// The peer has reset the stream.
    unwanted: bool,
    /// A sender was told that there is no room.
    full: bool,
    /// A sender was told that what waits depends on the receiver.
    uncovered: bool,
    /// What waits is the conclusion, for which no credit is needed.
    concluded: bool,
}

impl Outbound {
    pub(super) fn new(window: u32, fresh: bool, corked: bool) -> Self {
        Self {
            queue: VecDeque::new(),
            queued: 0,
            window,
            credit: i64::from(window),
            limit: None,
            unread: 0,
            phase: Phase::Open,
            fresh,
            corked,
            unwanted: false,
            full: false,
            uncovered: false,
            concluded: false,
        }
    }

    pub(super) fn push(&mut self, tag: u8, payload: Payload, end: bool) -> Result<(), SendError> {
        if self.phase != Phase::Open {
            return Err(SendError::Ended);
        }
        if self.unwanted {
            return Ok(());
        }
        let total = payload.len();
        self.queued += total + u64::from(FRAME_COST);
        self.unread += 1;
        self.queue.push_back(Outgoing { tag, total, left: total, payload, end });
        if end {
            self.phase = Phase::Ending;
        }
        self.full = !self.has_room();
        Ok(())
    }

    /// Queues the last message in place of all that waits. One that fits into a frame needs no
    /// credit, since nobody may be there to give any.
    pub(super) fn conclude(&mut self, tag: u8, payload: Payload) -> Result<(), SendError> {
        if self.phase != Phase::Open {
            return Err(SendError::Ended);
        }
        self.queue = VecDeque::new();
        self.queued = 0;
        self.concluded = payload.len() <= (MAX_FRAME - HEADER) as u64;
        self.push(tag, payload, true)
    }

    /// The next frame, if there is something to send and credit to send it.
    pub(super) fn poll(&mut self, stream: StreamId, opens: Option<Vec<StreamId>>) -> Option<Data> {
        if !self.can_send() {
            return None;
        }
        let message = self.queue.front_mut()?;
        let room = MAX_FRAME - HEADER - 8 * opens.as_ref().map_or(0, Vec::len);
        let payload = message.payload.cut(room);
        let start = (message.left == message.total)
            .then_some(Start { tag: message.tag, total: message.total });
        let len = payload.len() as u64;
        message.left -= len;
        self.queued -= len;
        self.credit -= i64::from(FRAME_COST) + i64::try_from(len).unwrap_or(i64::MAX);
        let last = message.left == 0;
        let end = last && message.end;
        if last {
            self.queue.pop_front();
            self.queued -= u64::from(FRAME_COST);
        }
        if end {
            self.phase = Phase::Done;
        }
        self.heard();
        Some(Data { stream, start, opens, end, payload })
    }

    pub(super) fn can_send(&self) -> bool {
        !self.corked && (self.credit > 0 || self.concluded) && !self.queue.is_empty()
    }

    pub(super) fn credit(&mut self, bytes: u32, messages: u32) {
        self.credit += i64::from(bytes);
        self.unread = self.unread.saturating_sub(messages.into());
    }

    pub(super) fn limit(&mut self, messages: u32) {
        self.limit = Some(messages);
        self.full = !self.has_room();
    }

    /// Whether there is credit for all that waits, and an empty message more.
    pub(super) fn is_covered(&mut self) -> bool {
        self.uncovered = !self.has_cover();
        !self.uncovered
    }

    fn has_cover(&self) -> bool {
        let frames = 2 + self.queued / MAX_FRAME as u64;
        let cost = self.queued + frames * u64::from(FRAME_COST);
        i64::try_from(cost).is_ok_and(|cost| cost <= self.credit)
    }

    /// True once after each time that a sender was told that there is not.
    pub(super) fn got_cover(&mut self) -> bool {
        let got = self.uncovered && self.has_cover();
        self.uncovered &= !got;
        got
    }

    pub(super) fn uncork(&mut self) {
        self.corked = false;
    }

    /// Drops what waits; this direction is over. False if it was already.
    pub(super) fn abandon(&mut self) -> bool {
        self.queue = VecDeque::new();
        self.queued = 0;
        std::mem::replace(&mut self.phase, Phase::Done) != Phase::Done
    }

    /// The peer wants nothing more. True if the app had already queued the end.
    pub(super) fn unwanted(&mut self) -> bool {
        self.unwanted = true;
        self.queue = VecDeque::new();
        self.queued = 0;
        self.phase == Phase::Ending
    }

    pub(super) fn has_room(&self) -> bool {
        let few = self.limit.is_none_or(|limit| self.unread < u64::from(limit));
        few && self.queued < u64::from(self.window)
    }

    /// True once after each time that a sender was told to wait.
    pub(super) fn made_room(&mut self) -> bool {
        let made = self.full && self.has_room();
        self.full &= !made;
        made
    }

    /// The peer knows the stream.
    pub(super) fn heard(&mut self) {
        self.fresh = false;
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether all that was queued has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn is_unwanted(&self) -> bool {
        self.unwanted
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }
}
