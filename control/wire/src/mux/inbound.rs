//! The receiving direction of a stream: reassembles messages and returns credit.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::{FRAME_COST, Message, MuxViolation};
use crate::frame::{DataFrame, MAX_FRAME};

/// How many bytes are reserved for a message before they arrive: the announced length is only a
/// claim.
const RESERVE: u64 = 1 << 20;
/// Later, the capacity grows to this multiple of the bytes that have arrived. Only doubling it
/// would copy a large message many times.
const GROWTH: u64 = 16;

#[derive(Debug)]
pub(super) struct Inbound {
    window: u32,
    /// Complete messages, each with the credit that reading it returns.
    inbox: VecDeque<(Message, u32)>,
    partial: Option<PartialMessage>,
    /// Bytes that were received and not returned as credit.
    outstanding: u64,
    /// Bytes that may be returned as credit.
    returnable: u32,
    /// How many messages the peer may send ahead of the app.
    message_limit: Option<u32>,
    /// Messages that the app has read and the peer has not been told of.
    read: u32,
    read_marking: ReadMarking,
    delivery: Delivery,
    ended: bool,
}

/// When a message counts as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadMarking {
    WhenReceived,
    /// When the app says so.
    Manual,
}

/// The treatment of messages that arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    ToApp,
    Discard,
    /// Discard them, and wait for a message with this tag.
    DiscardUntil(u8),
    /// Discard them. The message that was waited for has arrived, and was not the last.
    TagArrived,
}

#[derive(Debug)]
struct PartialMessage {
    tag: u8,
    total: u64,
    left: u64,
    buffer: BytesMut,
    /// Bytes that are not yet returnable.
    cost: u32,
}

impl PartialMessage {
    fn append(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() - self.buffer.len() < bytes.len() {
            let had = self.buffer.len() as u64;
            let room = self.total.min(RESERVE.max(GROWTH * had)).saturating_sub(had);
            // At least the bytes at hand, and never more than the message can have.
            self.buffer.reserve(usize::try_from(room).unwrap_or(0).max(bytes.len()));
        }
        self.buffer.extend_from_slice(bytes);
    }
}

impl Inbound {
    pub(super) fn new(window: u32) -> Self {
        Self {
            window,
            inbox: VecDeque::new(),
            partial: None,
            outstanding: 0,
            returnable: 0,
            message_limit: None,
            read: 0,
            read_marking: ReadMarking::WhenReceived,
            delivery: Delivery::ToApp,
            ended: false,
        }
    }

    /// Handles a frame. Returns whether it completes a message for the app.
    pub(super) fn push(&mut self, data: DataFrame, max_message: u64) -> Result<bool, MuxViolation> {
        let sequence = MuxViolation::Sequence(data.stream);
        if self.ended {
            return Err(sequence);
        }
        let len = data.payload.len() as u64;
        let cost = FRAME_COST + u32::try_from(len).unwrap_or(u32::MAX);
        self.outstanding += u64::from(cost);
        // The last message may exceed the window, and may cut off the message before it.
        let is_conclusion = data.end && data.start.is_some_and(|start| start.total == len);
        let overdraft = (MAX_FRAME as u64 + u64::from(FRAME_COST)) * (1 + u64::from(is_conclusion));
        let limit = u64::from(self.window) + overdraft;
        let discards = self.delivery != Delivery::ToApp;
        if self.outstanding > limit && !discards {
            return Err(MuxViolation::Window(data.stream));
        }
        let mut partial = match (self.partial.take().filter(|_| !is_conclusion), data.start) {
            (None, Some(start)) if start.total > max_message => {
                return Err(MuxViolation::TooLarge { size: start.total, limit: max_message });
            }
            (None, Some(start)) => PartialMessage {
                tag: start.tag,
                total: start.total,
                left: start.total,
                buffer: BytesMut::new(),
                cost: 0,
            },
            (Some(partial), None) => partial,
            _ => return Err(sequence),
        };
        partial.left = partial.left.checked_sub(len).ok_or(sequence)?;
        partial.cost += cost;
        let is_complete = partial.left == 0;
        if data.end && !is_complete {
            return Err(sequence);
        }
        self.ended = data.end;
        if discards {
            self.returnable += std::mem::take(&mut partial.cost);
            self.mark_read(u32::from(is_complete));
            if is_complete && !data.end && self.delivery == Delivery::DiscardUntil(partial.tag) {
                self.delivery = Delivery::TagArrived;
            }
            self.partial = (!is_complete).then_some(partial);
            return Ok(false);
        }
        if is_complete {
            let body = if data.start.is_some() {
                data.payload
            } else {
                partial.append(&data.payload);
                partial.buffer.freeze()
            };
            let message = Message { tag: partial.tag, body, end: data.end };
            self.inbox.push_back((message, partial.cost));
            return Ok(true);
        }
        partial.append(&data.payload);
        // Credit for a message that is longer than the window has to be returned while the message
        // arrives, but only for one message: while another waits to be read, the sender stays
        // within its window.
        if self.inbox.is_empty() {
            self.returnable += std::mem::take(&mut partial.cost);
        }
        self.partial = Some(partial);
        Ok(false)
    }

    /// Takes the next message. The bytes that it occupied become returnable.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let (message, cost) = self.inbox.pop_front()?;
        self.returnable += cost;
        if self.read_marking == ReadMarking::WhenReceived {
            self.mark_read(1);
        }
        if self.inbox.is_empty()
            && let Some(partial) = &mut self.partial
        {
            self.returnable += std::mem::take(&mut partial.cost);
        }
        Some(message)
    }

    pub(super) fn set_message_limit(&mut self, messages: u32) {
        self.message_limit = Some(messages);
    }

    pub(super) fn mark_read_manually(&mut self) {
        self.read_marking = ReadMarking::Manual;
    }

    pub(super) fn mark_read(&mut self, messages: u32) {
        self.read = self.read.saturating_add(messages);
    }

    /// The bytes and messages to return to the peer as credit now. That happens when half of the
    /// window or of the message limit has been used, so that credit seldom costs a frame; the other
    /// half lets the peer go on meanwhile.
    pub(super) fn take_credit(&mut self) -> Option<(u32, u32)> {
        let half = |limit: u32| (limit / 2).max(1);
        let messages_due = self.message_limit.is_some_and(|limit| self.read >= half(limit));
        if self.ended || !(messages_due || self.returnable >= self.window / 2) {
            return None;
        }
        self.outstanding -= u64::from(self.returnable);
        Some((std::mem::take(&mut self.returnable), std::mem::take(&mut self.read)))
    }

    /// The app will read nothing more: discards the messages that have arrived and those that still
    /// will. Returns their credit, because without it the peer could never finish sending.
    pub(super) fn discard(&mut self, until: Option<u8>) {
        let is_awaited = |(message, _): &(Message, u32)| !message.end && Some(message.tag) == until;
        self.delivery = match until {
            _ if self.delivery == Delivery::TagArrived => Delivery::TagArrived,
            _ if self.inbox.iter().any(is_awaited) => Delivery::TagArrived,
            Some(tag) => Delivery::DiscardUntil(tag),
            None => Delivery::Discard,
        };
        self.mark_read(u32::try_from(self.inbox.len()).unwrap_or(u32::MAX));
        self.returnable += self.inbox.drain(..).map(|(_, cost)| cost).sum::<u32>();
        self.inbox = VecDeque::new();
        if let Some(partial) = &mut self.partial {
            partial.buffer = BytesMut::new();
            self.returnable += std::mem::take(&mut partial.cost);
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

    /// Whether the awaited tag has arrived while the peer may still send more. The app does not
    /// want those messages, so the stream should be reset.
    pub(super) fn should_give_up(&self) -> bool {
        self.delivery == Delivery::TagArrived && !self.ended
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }
}
