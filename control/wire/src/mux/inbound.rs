//! One direction of a stream, at its receiver: messages put together again, and credit.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::{FRAME_COST, Message, MuxViolation};
use crate::frame::{Data, MAX_FRAME};

/// What is reserved for a message before its bytes come: an announced length is only a claim.
const RESERVE: u64 = 1 << 20;
/// Later as much as this times what has come. Doubling would move a large message many times.
const GROWTH: u64 = 16;

#[derive(Debug)]
struct Partial {
    tag: u8,
    total: u64,
    left: u64,
    buffer: BytesMut,
    /// Bytes that are not yet owed to the peer.
    debt: u32,
}

impl Partial {
    fn append(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() - self.buffer.len() < bytes.len() {
            let had = self.buffer.len() as u64;
            let room = self.total.min(RESERVE.max(GROWTH * had)).saturating_sub(had);
            // At least what is here; never more than the message can have.
            self.buffer.reserve(usize::try_from(room).unwrap_or(0).max(bytes.len()));
        }
        self.buffer.extend_from_slice(bytes);
    }
}

#[derive(Debug)]
pub(super) struct Inbound {
    window: u32,
    inbox: VecDeque<(Message, u32)>,
    partial: Option<Partial>,
    /// Received and not granted again.
    outstanding: u64,
    /// May be granted again.
    owed: u32,
    /// The most messages that the peer sends ahead of the app.
    limit: Option<u32>,
    /// Messages that the app has read and the peer was not told of.
    read: u32,
    /// The app says itself what it has read.
    later: bool,
    ended: bool,
    discard: bool,
    /// What is discarded is still waited for until a message of this tag has come.
    until: Option<u8>,
    /// It has come, and the peer has not ended.
    over: bool,
}

impl Inbound {
    pub(super) fn new(window: u32) -> Self {
        Self {
            window,
            inbox: VecDeque::new(),
            partial: None,
            outstanding: 0,
            owed: 0,
            limit: None,
            read: 0,
            later: false,
            ended: false,
            discard: false,
            until: None,
            over: false,
        }
    }

    /// Takes a frame in; true if it makes a message whole.
    pub(super) fn push(&mut self, data: Data, max_message: u64) -> Result<bool, MuxViolation> {
        let sequence = MuxViolation::Sequence(data.stream);
        if self.ended {
            return Err(sequence);
        }
        let len = data.payload.len() as u64;
        let cost = FRAME_COST + u32::try_from(len).unwrap_or(u32::MAX);
        self.outstanding += u64::from(cost);
        // The last message may come beyond the window, and cut short the one before.
        let conclusion = data.end && data.start.is_some_and(|start| start.total == len);
        let overdraft = (MAX_FRAME as u64 + u64::from(FRAME_COST)) * (1 + u64::from(conclusion));
        let limit = u64::from(self.window) + overdraft;
        if self.outstanding > limit && !self.discard {
            return Err(MuxViolation::Window(data.stream));
        }
        let mut partial = match (self.partial.take().filter(|_| !conclusion), data.start) {
            (None, Some(start)) if start.total > max_message => {
                return Err(MuxViolation::TooLarge { size: start.total, limit: max_message });
            }
            (None, Some(start)) => Partial {
                tag: start.tag,
                total: start.total,
                left: start.total,
                buffer: BytesMut::new(),
                debt: 0,
            },
            (Some(partial), None) => partial,
            _ => return Err(sequence),
        };
        partial.left = partial.left.checked_sub(len).ok_or(sequence)?;
        partial.debt += cost;
        let whole = partial.left == 0;
        if data.end && !whole {
            return Err(sequence);
        }
        self.ended = data.end;
        if self.discard {
            self.owed += std::mem::take(&mut partial.debt);
            self.has_read(u32::from(whole));
            self.over |= whole && !data.end && self.until == Some(partial.tag);
            self.partial = (!whole).then_some(partial);
            return Ok(false);
        }
        if whole {
            let body = if data.start.is_some() {
                data.payload
            } else {
                partial.append(&data.payload);
                partial.buffer.freeze()
            };
            let message = Message { tag: partial.tag, body, end: data.end };
            self.inbox.push_back((message, partial.debt));
            return Ok(true);
        }
        partial.append(&data.payload);
        // A message longer than the window must be granted while it comes, but only one: while
        // another waits to be read, the sender stays within its window.
        if self.inbox.is_empty() {
            self.owed += std::mem::take(&mut partial.debt);
        }
        self.partial = Some(partial);
        Ok(false)
    }

    /// The next message; its room is owed to the peer again.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let (message, debt) = self.inbox.pop_front()?;
        self.owed += debt;
        self.has_read(u32::from(!self.later));
        if self.inbox.is_empty()
            && let Some(partial) = &mut self.partial
        {
            self.owed += std::mem::take(&mut partial.debt);
        }
        Some(message)
    }

    pub(super) fn limit(&mut self, messages: u32) {
        self.limit = Some(messages);
    }

    pub(super) fn read_later(&mut self) {
        self.later = true;
    }

    pub(super) fn has_read(&mut self, messages: u32) {
        self.read = self.read.saturating_add(messages);
    }

    /// Bytes and messages to grant now: when half of the window or of the limit has been used, so
    /// that credit seldom costs a frame. The other half lets the peer go on meanwhile.
    pub(super) fn take_credit(&mut self) -> Option<(u32, u32)> {
        let half = |limit: u32| (limit / 2).max(1);
        let due = self.limit.is_some_and(|limit| self.read >= half(limit));
        if self.ended || !(due || self.owed >= self.window / 2) {
            return None;
        }
        self.outstanding -= u64::from(self.owed);
        Some((std::mem::take(&mut self.owed), std::mem::take(&mut self.read)))
    }

    /// Nobody will read: what comes is dropped. Its room is owed to the peer, who could else never
    /// come to the end of what it has to send.
    pub(super) fn discard(&mut self, until: Option<u8>) {
        self.discard = true;
        self.until = until;
        let last = |(message, _): &(Message, u32)| !message.end && Some(message.tag) == until;
        self.over |= self.inbox.iter().any(last);
        self.has_read(u32::try_from(self.inbox.len()).unwrap_or(u32::MAX));
        self.owed += self.inbox.drain(..).map(|(_, debt)| debt).sum::<u32>();
        self.inbox = VecDeque::new();
        if let Some(partial) = &mut self.partial {
            partial.buffer = BytesMut::new();
            self.owed += std::mem::take(&mut partial.debt);
        }
    }

    /// The peer sends nothing more.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.partial = None;
    }

    pub(super) fn is_receiving(&self) -> bool {
        self.partial.is_some()
    }

    /// Whether what was waited for while all is discarded has come, and more would follow.
    pub(super) fn is_over(&self) -> bool {
        self.over && !self.ended
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }
}
