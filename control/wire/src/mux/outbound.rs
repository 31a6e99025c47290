//! The sending direction of a stream.

use std::collections::VecDeque;

use super::{FRAME_COST, Payload, SendError};
use crate::frame::{DataFrame, MAX_FRAME, MessageStart, StreamId};

/// The header of a message's first frame, without the list of siblings.
const HEADER: usize = 10 + 9 + 2;

#[derive(Debug)]
pub(super) struct Outbound {
    state: SendState,
    announcement: Announcement,
    queue: VecDeque<QueuedMessage>,
    /// The bytes in the queue, with the cost of a frame for each message.
    queued: u64,
    window: u32,
    /// How many more bytes the peer accepts. A frame may overdraw it.
    credit: i64,
    /// How many messages may be sent but not yet read.
    message_limit: Option<u32>,
    /// How many queued messages the peer has not yet reported as read.
    unread: u64,
    /// The app was told that there is no room, and has to learn when there is.
    awaits_room: bool,
    /// The app was told that the credit does not cover the queue, and has to learn when it does.
    awaits_credit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SendState {
    Open,
    /// The last message is queued.
    Ending,
    /// The last message is queued, and needs no credit.
    Concluding,
    /// The peer has reset the stream, and the app has not sent its last message. Messages are
    /// accepted and dropped.
    PeerReset,
    /// The last message has left, or this direction was given up.
    Ended,
}

/// Whether the peer knows of a stream, and whether the stream may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announcement {
    /// The stream's own first frame will announce it.
    Pending,
    /// The first frame of its sibling will announce it, and nothing may be sent before.
    PendingSibling,
    /// The peer knows the stream, but the first message of its sibling has not left completely.
    AwaitingSibling,
    /// The peer knows the stream.
    Done,
}

#[derive(Debug)]
struct QueuedMessage {
    tag: u8,
    total: u64,
    left: u64,
    payload: Payload,
    end: bool,
}

impl Outbound {
    pub(super) fn new(window: u32, announcement: Announcement) -> Self {
        Self {
            state: SendState::Open,
            announcement,
            queue: VecDeque::new(),
            queued: 0,
            window,
            credit: i64::from(window),
            message_limit: None,
            unread: 0,
            awaits_room: false,
            awaits_credit: false,
        }
    }

    /// Queues a message; with `end`, the last one.
    pub(super) fn push(&mut self, tag: u8, payload: Payload, end: bool) -> Result<(), SendError> {
        self.push_as(tag, payload, if end { SendState::Ending } else { SendState::Open })
    }

    /// Queues the last message and discards all that wait. One that fits into a frame needs no
    /// credit, since the peer may never give any.
    pub(super) fn conclude(&mut self, tag: u8, payload: Payload) -> Result<(), SendError> {
        if matches!(self.state, SendState::Open | SendState::PeerReset) {
            self.clear_queue();
        }
        let fits_into_frame = payload.len() <= (MAX_FRAME - HEADER) as u64;
        let next = if fits_into_frame { SendState::Concluding } else { SendState::Ending };
        self.push_as(tag, payload, next)
    }

    fn push_as(&mut self, tag: u8, payload: Payload, next: SendState) -> Result<(), SendError> {
        match self.state {
            SendState::Open => {}
            SendState::PeerReset => return Ok(()),
            SendState::Ending | SendState::Concluding | SendState::Ended => {
                return Err(SendError::Ended);
            }
        }
        let total = payload.len();
        self.queued += total + u64::from(FRAME_COST);
        self.unread += 1;
        let end = next != SendState::Open;
        self.queue.push_back(QueuedMessage { tag, total, left: total, payload, end });
        self.state = next;
        self.awaits_room = !self.has_room();
        Ok(())
    }

    /// The next frame, if a message is queued and there is credit for it.
    pub(super) fn poll(
        &mut self,
        stream: StreamId,
        opens: Option<Vec<StreamId>>,
    ) -> Option<DataFrame> {
        if !self.can_send() {
            return None;
        }
        let message = self.queue.front_mut()?;
        let room = MAX_FRAME - HEADER - 8 * opens.as_ref().map_or(0, Vec::len);
        let payload = message.payload.split_front(room);
        let start = (message.left == message.total)
            .then_some(MessageStart { tag: message.tag, total: message.total });
        let len = payload.len() as u64;
        message.left -= len;
        self.queued -= len;
        self.credit -= i64::from(FRAME_COST) + i64::try_from(len).unwrap_or(i64::MAX);
        let is_complete = message.left == 0;
        let end = is_complete && message.end;
        if is_complete {
            self.queue.pop_front();
            self.queued -= u64::from(FRAME_COST);
        }
        if end {
            self.state = SendState::Ended;
        }
        self.set_announced();
        Some(DataFrame { stream, start, opens, end, payload })
    }

    pub(super) fn can_send(&self) -> bool {
        let may_send = match self.announcement {
            Announcement::Pending | Announcement::Done => true,
            Announcement::PendingSibling | Announcement::AwaitingSibling => false,
        };
        let has_credit = self.credit > 0 || self.state == SendState::Concluding;
        may_send && has_credit && !self.queue.is_empty()
    }

    /// The peer has read this many bytes and messages.
    pub(super) fn add_credit(&mut self, bytes: u32, messages: u32) {
        self.credit += i64::from(bytes);
        self.unread = self.unread.saturating_sub(messages.into());
    }

    pub(super) fn set_message_limit(&mut self, messages: u32) {
        self.message_limit = Some(messages);
        self.awaits_room = !self.has_room();
    }

    pub(super) fn has_room(&self) -> bool {
        let below_limit = self.message_limit.is_none_or(|limit| self.unread < u64::from(limit));
        below_limit && self.queued < u64::from(self.window)
    }

    /// Whether the credit covers the whole queue and one more message without a body.
    pub(super) fn is_within_credit(&mut self) -> bool {
        self.awaits_credit = !self.credit_covers_queue();
        !self.awaits_credit
    }

    fn credit_covers_queue(&self) -> bool {
        let frames = 2 + self.queued / MAX_FRAME as u64;
        let cost = self.queued + frames * u64::from(FRAME_COST);
        i64::try_from(cost).is_ok_and(|cost| cost <= self.credit)
    }

    /// Whether the app waits for room and there is room, or waits for credit and there is enough.
    /// Returns true once for each wait.
    pub(super) fn became_writable(&mut self) -> bool {
        let has_room = self.awaits_room && self.has_room();
        let has_credit = self.awaits_credit && self.credit_covers_queue();
        self.awaits_room &= !has_room;
        self.awaits_credit &= !has_credit;
        has_room || has_credit
    }

    /// The peer now knows the stream.
    pub(super) fn set_announced(&mut self) {
        self.announcement = match self.announcement {
            Announcement::Pending | Announcement::Done => Announcement::Done,
            Announcement::PendingSibling | Announcement::AwaitingSibling => {
                Announcement::AwaitingSibling
            }
        };
    }

    /// The first message of the sibling has left: this stream may send.
    pub(super) fn uncork(&mut self) {
        self.announcement = match self.announcement {
            Announcement::Pending | Announcement::PendingSibling => Announcement::Pending,
            Announcement::AwaitingSibling | Announcement::Done => Announcement::Done,
        };
    }

    pub(super) fn is_announced(&self) -> bool {
        match self.announcement {
            Announcement::Pending | Announcement::PendingSibling => false,
            Announcement::AwaitingSibling | Announcement::Done => true,
        }
    }

    /// Drops the queue and ends this direction. Returns false if it had ended already.
    pub(super) fn abandon(&mut self) -> bool {
        self.clear_queue();
        std::mem::replace(&mut self.state, SendState::Ended) != SendState::Ended
    }

    /// The peer has reset the stream. Returns whether the last message was queued already.
    pub(super) fn handle_reset(&mut self) -> bool {
        self.clear_queue();
        match self.state {
            SendState::Open => self.state = SendState::PeerReset,
            SendState::Ending | SendState::Concluding => return true,
            SendState::PeerReset | SendState::Ended => {}
        }
        false
    }

    fn clear_queue(&mut self) {
        self.queue = VecDeque::new();
        self.queued = 0;
    }

    /// Whether everything that was queued has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn is_peer_reset(&self) -> bool {
        self.state == SendState::PeerReset
    }

    pub(super) fn is_ended(&self) -> bool {
        self.state == SendState::Ended
    }
}
