//! The mux: many streams of messages share one link, and none holds up another.
//!
//! A message of any length is cut into [frames](crate::frame) of at most 32 KiB. The streams that
//! have something to send take turns, one frame each. On each stream the sender may be `window`
//! bytes ahead of the receiver, so that neither a slow receiver nor a large message fills the
//! peer's memory, or the socket in front of a small call. If both sides set a [message
//! limit](Mux::set_message_limit), a sender that waits for room is also at most that many messages
//! ahead.
//!
//! ```text
//! open ──▶ send* ──▶ end ─┐
//!                         ├──▶ closed: both directions have ended
//! peer:    send* ──▶ end ─┘     reset by one side: that side sends and receives nothing more; the
//!                               stream is closed when the other side has ended, too
//! ```
//!
//! Invariants:
//! 1. Messages of one stream arrive whole and in order, and the peer's `end` arrives after them. A
//!    [conclusion](Mux::conclude) replaces messages that have not left yet: those do not arrive.
//! 2. Per stream, the received bytes that wait for the app are at most `window` and one message, or
//!    two if the last is a conclusion.
//! 3. A stream is closed only when both sides have ended or reset it. Until then everything that is
//!    tied to the stream (a leased slot) stays tied.
//! 4. Sibling streams, which were opened together with another stream, end with that stream unless
//!    the app has claimed them.
//! 5. On a stream with a message limit, a sender that asks for [room](Mux::has_room) before each
//!    message never has more than `limit` messages that the peer's app has not read.
//! 6. Frames for an unknown stream are ignored: the stream was closed while they travelled.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::frame::{Frame, MAX_SIBLINGS, StreamId};

mod error;
mod frames;
mod inbound;
mod outbound;
mod payload;
mod stream;

pub use error::{MuxViolation, SendError, TooManyStreams};
pub use payload::Payload;
use stream::{AppHandle, MuxStream, Origin, StreamPhase};

/// How many bytes of the window a frame costs beyond its payload, so that empty messages are
/// bounded as well.
const FRAME_COST: u32 = 32;

/// Which end of the link this is. It decides how the end numbers its streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Opens streams with even numbers.
    Parent,
    /// Opens streams with odd numbers.
    Runner,
}

/// The limits of a mux. Both ends of a link must have the same.
#[derive(Clone, Copy, Debug)]
pub struct MuxConfig {
    /// How many bytes the sender of a stream may be ahead of the receiver. Default 256 KiB.
    pub window: u32,
    /// The longest message, in bytes. Default 1 GiB.
    pub max_message: u64,
    /// How many streams each side may have open at a time. Default 65,536.
    pub max_streams: usize,
}

impl Default for MuxConfig {
    fn default() -> Self {
        Self { window: 256 * 1024, max_message: 1 << 30, max_streams: 65_536 }
    }
}

/// A whole message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The kind of message: see [`Tag`](crate::message::Tag).
    pub tag: u8,
    /// The bytes.
    pub body: Bytes,
    /// The message is the last one from this side of the stream.
    pub end: bool,
}

/// An event of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MuxEvent {
    /// The peer has opened the stream, and its first message has arrived.
    Opened(StreamId),
    /// A message has arrived: see [`Mux::receive`].
    Readable(StreamId),
    /// There is room to send again: see [`Mux::has_room`].
    Writable(StreamId),
    /// The peer has reset the stream.
    Reset(StreamId),
    /// Both directions have ended. Messages that arrived before can still be received.
    Closed(StreamId),
}

/// One side's mux.
#[derive(Debug)]
pub struct Mux {
    config: MuxConfig,
    next_id: u64,
    /// How many streams this side has opened that are not closed. The peer never counts more of
    /// them.
    opened_here: usize,
    /// How many streams the peer has opened that are not closed.
    opened_by_peer: usize,
    streams: HashMap<StreamId, MuxStream>,
    /// Streams that have something to send and credit to send it. Each is in here at most once.
    ready: VecDeque<StreamId>,
    /// Resets and credit. They are few, since credit is returned in halves of the window.
    urgent: VecDeque<Frame>,
    events: VecDeque<MuxEvent>,
}

impl Mux {
    /// A mux that has only the control stream.
    #[must_use]
    pub fn new(side: Side, config: MuxConfig) -> Self {
        let control = MuxStream::new(config.window, Origin::Control);
        Self {
            config,
            next_id: match side {
                Side::Parent => 2,
                Side::Runner => 1,
            },
            opened_here: 0,
            opened_by_peer: 0,
            streams: HashMap::from([(StreamId::CONTROL, control)]),
            ready: VecDeque::new(),
            urgent: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The limits.
    #[must_use]
    pub fn config(&self) -> &MuxConfig {
        &self.config
    }

    /// Whether only the control stream is left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.len() <= 1
    }

    /// Opens a stream together with `siblings` more, at most [`MAX_SIBLINGS`]. The first message of
    /// the stream announces the siblings to the peer, and they send nothing before it has left.
    ///
    /// # Errors
    /// [`TooManyStreams`]. No stream was opened, since the peer would end the link.
    pub fn open(&mut self, siblings: usize) -> Result<(StreamId, Vec<StreamId>), TooManyStreams> {
        debug_assert!(siblings <= MAX_SIBLINGS, "callers check the number of channels");
        let limit = self.config.max_streams;
        if self.opened_here + siblings >= limit {
            return Err(TooManyStreams { limit });
        }
        self.opened_here += 1 + siblings;
        let id = self.next_stream_id();
        let siblings: Vec<_> = (0..siblings)
            .map(|_| {
                let sibling = self.next_stream_id();
                let stream = MuxStream::new(self.config.window, Origin::LocalSibling);
                self.streams.insert(sibling, stream);
                sibling
            })
            .collect();
        let mut stream = MuxStream::new(self.config.window, Origin::Local);
        stream.siblings.clone_from(&siblings);
        self.streams.insert(id, stream);
        Ok((id, siblings))
    }

    fn next_stream_id(&mut self) -> StreamId {
        let id = StreamId(self.next_id);
        self.next_id += 2;
        id
    }

    /// The app takes a stream that the peer opened. Returns false if the stream has ended, or the
    /// app has taken it before.
    pub fn claim(&mut self, id: StreamId) -> bool {
        self.streams.get_mut(&id).is_some_and(|stream| {
            std::mem::replace(&mut stream.handle, AppHandle::Held) != AppHandle::Held
        })
    }

    /// Queues a message; with `end`, the last one of this side.
    ///
    /// # Errors
    /// [`SendError`]. Nothing was queued. A message for a stream that the peer has reset is
    /// accepted and dropped.
    pub fn send(
        &mut self,
        id: StreamId,
        tag: u8,
        payload: Payload,
        end: bool,
    ) -> Result<(), SendError> {
        let stream = self.stream_for(id, &payload)?;
        stream.outbound.push(tag, payload, end)?;
        if end && stream.outbound.is_peer_reset() {
            self.give_up(id);
        } else {
            self.schedule(id);
        }
        Ok(())
    }

    /// Queues the last message of this side, and discards every message that has not left, even
    /// half of one. A conclusion that fits into a frame does not wait for a slow receiver.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn conclude(&mut self, id: StreamId, tag: u8, payload: Payload) -> Result<(), SendError> {
        let stream = self.stream_for(id, &payload)?;
        stream.outbound.conclude(tag, payload)?;
        if stream.outbound.is_peer_reset() {
            self.give_up(id);
        } else {
            self.schedule(id);
        }
        Ok(())
    }

    fn stream_for(&mut self, id: StreamId, payload: &Payload) -> Result<&mut MuxStream, SendError> {
        let (size, limit) = (payload.len(), self.config.max_message);
        if size > limit {
            return Err(SendError::TooLarge { size, limit });
        }
        self.streams.get_mut(&id).ok_or(SendError::Ended)
    }

    /// Limits how many messages of the stream may be sent but not yet read. At the limit,
    /// [`has_room`](Self::has_room) is false. Both sides must set the same limit, at least 1, since
    /// the receiver returns credit whenever half of it has been read. Messages that are sent
    /// without asking for room, such as the last one of a stream, are not held back.
    pub fn set_message_limit(&mut self, id: StreamId, messages: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.outbound.set_message_limit(messages.max(1));
            stream.inbound.set_message_limit(messages.max(1));
            self.return_credit(id);
        }
    }

    /// From now on a message counts as read when the app calls [`mark_read`](Self::mark_read), and
    /// not when it is [received](Self::receive).
    pub fn mark_read_manually(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.inbound.mark_read_manually();
        }
    }

    /// The app has read this many more of the messages that it received.
    pub fn mark_read(&mut self, id: StreamId, messages: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.inbound.mark_read(messages);
            self.return_credit(id);
        }
    }

    /// Whether the stream has less than a window of bytes queued, and fewer unread messages than
    /// its [limit](Self::set_message_limit). This is the back-pressure for senders of many
    /// messages: [`MuxEvent::Writable`] tells when there is room again.
    #[must_use]
    pub fn has_room(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.outbound.has_room())
    }

    /// Whether the peer's credit covers everything that is queued on the stream, and an empty last
    /// message after it. Without that credit, a peer that stops reading can block the stream for
    /// ever. [`MuxEvent::Writable`] reports when the credit is sufficient.
    pub fn is_within_credit(&mut self, id: StreamId) -> bool {
        self.streams.get_mut(&id).is_none_or(|stream| stream.outbound.is_within_credit())
    }

    /// Whether everything that was queued on the stream has left the mux, so that the peer may have
    /// it.
    #[must_use]
    pub fn is_flushed(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.outbound.is_flushed())
    }

    /// Whether everything that was queued on any stream has left the mux.
    #[must_use]
    pub fn is_flushed_all(&self) -> bool {
        self.urgent.is_empty() && self.streams.values().all(|stream| stream.outbound.is_flushed())
    }

    /// Whether the peer has reset the stream, or the stream is closed.
    #[must_use]
    pub fn is_unwanted(&self, id: StreamId) -> bool {
        let is_unwanted =
            |stream: &MuxStream| stream.outbound.is_peer_reset() || stream.is_closed();
        self.streams.get(&id).is_none_or(is_unwanted)
    }

    /// Receives the next message. The room that it occupied is returned to the peer.
    pub fn receive(&mut self, id: StreamId) -> Option<Message> {
        let message = self.streams.get_mut(&id)?.inbound.pop()?;
        self.return_credit(id);
        Some(message)
    }

    /// Whether the peer sends nothing more. Messages that have arrived can still be
    /// [received](Self::receive).
    #[must_use]
    pub fn is_ended(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.inbound.is_ended())
    }

    /// Whether the stream is forgotten: it was closed, and its handle was dropped.
    #[must_use]
    pub fn is_gone(&self, id: StreamId) -> bool {
        !self.streams.contains_key(&id)
    }

    /// Whether the beginning of a message has arrived, but not yet its end.
    #[must_use]
    pub fn is_receiving(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|stream| stream.inbound.is_receiving())
    }

    /// Resets the stream: drops everything that is queued, and ignores everything that arrives. The
    /// stream is closed when the peer has ended it, too, or at once if the peer does not know it.
    pub fn reset(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if id == StreamId::CONTROL {
            return;
        }
        stream.inbound.discard(None);
        if stream.outbound.is_announced() {
            self.give_up(id);
            return;
        }
        for unknown in std::iter::once(id).chain(std::mem::take(&mut stream.siblings)) {
            if let Some(stream) = self.streams.get_mut(&unknown) {
                stream.outbound.abandon();
                stream.inbound.end();
                self.close_if_ended(unknown);
            }
        }
    }

    /// The app has dropped its handle, but the stream goes on. Messages that arrive are discarded.
    pub fn detach(&mut self, id: StreamId) {
        self.detach_until(id, None);
    }

    /// Like [`detach`](Self::detach), but resets the stream as soon as a message with this tag
    /// arrives that is not the last: the app wants neither the messages after it nor the values
    /// that the open stream keeps alive.
    pub fn detach_until(&mut self, id: StreamId, tag: impl Into<Option<u8>>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.inbound.discard(tag.into());
            if stream.handle == AppHandle::Held {
                stream.handle = AppHandle::None;
            }
            self.return_credit(id);
            self.close_if_ended(id);
            self.give_up_if_due(id);
        }
    }

    /// The app has dropped its handle: [resets](Self::reset) the stream unless it is closed.
    pub fn release(&mut self, id: StreamId) {
        self.reset(id);
        self.detach(id);
    }

    /// Whether [`poll_frame`](Self::poll_frame) may return a frame.
    #[must_use]
    pub fn has_frames(&self) -> bool {
        !self.urgent.is_empty() || !self.ready.is_empty()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<MuxEvent> {
        self.events.pop_front()
    }

    fn give_up_if_due(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(|stream| stream.inbound.should_give_up()) {
            self.give_up(id);
        }
    }

    /// Ends the sending direction, and resets the stream unless both directions have ended.
    fn give_up(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let cut_off = stream.outbound.abandon();
        if (cut_off || !stream.inbound.is_ended())
            && matches!(stream.phase, StreamPhase::Opening | StreamPhase::Open)
        {
            stream.phase = StreamPhase::Reset;
            self.urgent.push_back(Frame::Reset { stream: id });
        }
        self.close_if_ended(id);
    }

    fn return_credit(&mut self, id: StreamId) {
        // A peer that has received a reset sends nothing more.
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.phase != StreamPhase::Reset
            && let Some((bytes, messages)) = stream.inbound.take_credit()
        {
            self.urgent.push_back(Frame::Credit { stream: id, bytes, messages });
        }
    }

    fn schedule(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.is_scheduled
            && stream.outbound.can_send()
        {
            stream.is_scheduled = true;
            self.ready.push_back(id);
        }
    }

    /// Closes the stream if both directions have ended, and forgets it if the app has no handle.
    fn close_if_ended(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !(stream.outbound.is_ended() && stream.inbound.is_ended()) {
            return;
        }
        if std::mem::replace(&mut stream.phase, StreamPhase::Closed) != StreamPhase::Closed {
            let is_ours = id.0 % 2 == self.next_id % 2;
            let count = if is_ours { &mut self.opened_here } else { &mut self.opened_by_peer };
            *count -= 1;
            self.events.push_back(MuxEvent::Closed(id));
        }
        let peer_siblings = std::mem::take(&mut stream.peer_siblings);
        if !stream.is_held() {
            self.streams.remove(&id);
        }
        for sibling in peer_siblings {
            if self
                .streams
                .get(&sibling)
                .is_some_and(|stream| stream.handle == AppHandle::Unclaimed)
            {
                self.release(sibling);
            }
        }
    }
}

#[cfg(test)]
mod tests;
