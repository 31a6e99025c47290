//! The mux: many streams of messages share one link, and none holds up another.
//!
//! A message of any length is cut into [frames](crate::frame) of at most 32 KiB, and the streams
//! that have something to send take turns, a frame each. A sender may be `window` bytes ahead of
//! its receiver on each stream, so that a receiver that is slow, or a message that is large,
//! fills neither the peer's memory nor the socket in front of a small call. Where both sides set a
//! [limit](Mux::limit), a sender that waits for room is also at most so many messages ahead.
//!
//! ```text
//! open ──▶ send* ──▶ end ─┐
//!                         ├──▶ closed: both directions have ended
//! peer:    send* ──▶ end ─┘     reset by one side: it sends and wants no more; the stream is
//!                               closed when the other side has ended, too
//! ```
//!
//! Invariants:
//! 1. Messages of one stream arrive whole and in order; the peer's `end` comes after them. Those
//!    that its sender took back for a [conclusion](Mux::conclude) do not arrive.
//! 2. Received bytes that wait for the app are at most `window` and one message, per stream; two
//!    where the last is a conclusion.
//! 3. A stream is closed only when both sides have ended or reset it; until then whatever is tied
//!    to it (a leased slot) stays tied.
//! 4. A stream that was opened beside another is given up with it, unless the app has claimed it.
//! 5. On a stream with a limit, a sender that asks for [room](Mux::has_room) before each message
//!    never has more than `limit` messages that the peer's app has not read.
//! 6. Frames for a stream that is not known are ignored: it has been closed while they travelled.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::frame::{Data, Frame, MAX_OPENS, StreamId};

mod inbound;
mod outbound;

use inbound::Inbound;
use outbound::Outbound;
pub use outbound::Payload;

/// What a frame costs of the window beyond its payload, so that empty messages are bounded, too.
const FRAME_COST: u32 = 32;

/// Which end of the link this is: the two number their streams apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Opens streams with even numbers.
    Parent,
    /// Opens streams with odd numbers.
    Runner,
}

/// The limits of a mux; both ends of a link have the same.
#[derive(Clone, Copy, Debug)]
pub struct MuxConfig {
    /// Bytes that a stream's sender may be ahead of its receiver. Default 256 KiB.
    pub window: u32,
    /// The longest message, in bytes. Default 1 GiB.
    pub max_message: u64,
    /// The most streams at a time that each side may have opened. Default 65,536.
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
    /// What it is: see [`Tag`](crate::message::Tag).
    pub tag: u8,
    /// Its bytes.
    pub body: Bytes,
    /// Nothing more comes on the stream from that side.
    pub end: bool,
}

/// What happened on a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MuxEvent {
    /// The peer opened it, and its first message is there.
    Opened(StreamId),
    /// A message is there: see [`Mux::receive`].
    Readable(StreamId),
    /// There is room to send again: see [`Mux::has_room`].
    Writable(StreamId),
    /// The peer has reset it.
    Reset(StreamId),
    /// Both directions have ended. Messages that came before can still be received.
    Closed(StreamId),
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The stream has been closed, or this direction of it has ended.
    #[error("the stream has ended")]
    Ended,
    /// Longer than `max_message`.
    #[error("the message has {size} bytes, but the limit is {limit}")]
    TooLarge {
        /// The message's length.
        size: u64,
        /// The limit.
        limit: u64,
    },
}

/// Why no stream was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} streams are open, and the peer takes no more")]
pub struct TooManyStreams {
    /// The peer's `max_streams`.
    pub limit: usize,
}

/// The peer broke the protocol; the link cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MuxViolation {
    /// A message is longer than `max_message`.
    #[error("a message of {size} bytes was announced, but the limit is {limit}")]
    TooLarge {
        /// The announced length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// More was sent on a stream than its window.
    #[error("stream {} was sent more than its window", .0.0)]
    Window(StreamId),
    /// A frame without its message's start, a start within a message, or bytes beyond its length.
    #[error("the frames of stream {} do not make a message", .0.0)]
    Sequence(StreamId),
    /// A stream was opened with a number of this side, or one in use.
    #[error("stream {} cannot be opened by the peer", .0.0)]
    Number(StreamId),
    /// More streams were opened than `max_streams`.
    #[error("more than {0} streams were opened")]
    Streams(usize),
}

/// Three parties have a stake in a stream: either peer's end, and the app's handle here.
#[derive(Debug)]
struct Stream {
    out: Outbound,
    inb: Inbound,
    /// Opened beside this one; they may send once this one's first message is out.
    beside: Vec<StreamId>,
    /// The peer opened these beside this one. What the app has not claimed ends with it.
    brought: Vec<StreamId>,
    /// The peer opened it beside another, and the app has never had a handle on it.
    unclaimed: bool,
    /// It is in the queue of those that can send.
    readied: bool,
    /// The peer opened it, and its first message is not whole yet.
    opening: bool,
    /// The app has a handle on it.
    owned: bool,
    /// This side has told the peer that it gives up.
    reset: bool,
    /// `Closed` has been told.
    closed: bool,
}

impl Stream {
    fn new(window: u32, origin: Origin) -> Self {
        Self {
            out: Outbound::new(
                window,
                matches!(origin, Origin::Here | Origin::Beside),
                origin == Origin::Beside,
            ),
            inb: Inbound::new(window),
            beside: Vec::new(),
            brought: Vec::new(),
            unclaimed: origin == Origin::PeerBeside,
            readied: false,
            opening: origin == Origin::Peer,
            owned: matches!(origin, Origin::Here | Origin::Beside),
            reset: false,
            closed: false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Control,
    Here,
    Beside,
    Peer,
    PeerBeside,
}

/// The state of one side.
#[derive(Debug)]
pub struct Mux {
    config: MuxConfig,
    next: u64,
    /// Streams that this side opened and that are not closed: never fewer than the peer counts.
    ours: usize,
    /// The same of the peer.
    theirs: usize,
    streams: HashMap<StreamId, Stream>,
    /// Streams with something to send and credit to send it; each is in here at most once.
    ready: VecDeque<StreamId>,
    /// Resets and credit: few for each stream, since credit comes in halves of what was used.
    urgent: VecDeque<Frame>,
    events: VecDeque<MuxEvent>,
}

impl Mux {
    /// A mux with the control stream alone.
    #[must_use]
    pub fn new(side: Side, config: MuxConfig) -> Self {
        let control = Stream::new(config.window, Origin::Control);
        Self {
            config,
            next: match side {
                Side::Parent => 2,
                Side::Runner => 1,
            },
            ours: 0,
            theirs: 0,
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

    /// Whether no stream stands but the control stream.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.len() <= 1
    }

    /// Opens a stream, with `beside` more that the peer learns of by the first message of this
    /// one, and that send nothing before it is out. At most [`MAX_OPENS`] beside.
    ///
    /// # Errors
    /// [`TooManyStreams`]; none was opened. The peer would end the link.
    pub fn open(&mut self, beside: usize) -> Result<(StreamId, Vec<StreamId>), TooManyStreams> {
        debug_assert!(beside <= MAX_OPENS, "checked where channels are counted");
        let limit = self.config.max_streams;
        if self.ours + beside >= limit {
            return Err(TooManyStreams { limit });
        }
        self.ours += 1 + beside;
        let id = self.number();
        let mut stream = Stream::new(self.config.window, Origin::Here);
        for _ in 0..beside {
            let other = self.number();
            self.streams.insert(other, Stream::new(self.config.window, Origin::Beside));
            stream.beside.push(other);
        }
        let others = stream.beside.clone();
        self.streams.insert(id, stream);
        Ok((id, others))
    }

    fn number(&mut self) -> StreamId {
        let id = StreamId(self.next);
        self.next += 2;
        id
    }

    /// The app takes a stream that the peer opened; false if it does not stand (any more).
    pub fn claim(&mut self, id: StreamId) -> bool {
        self.streams.get_mut(&id).is_some_and(|stream| {
            stream.unclaimed = false;
            !std::mem::replace(&mut stream.owned, true)
        })
    }

    /// Queues a message; with `end`, the last in this direction.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued. A message for a stream that the peer has reset is taken
    /// and dropped.
    pub fn send(
        &mut self,
        id: StreamId,
        tag: u8,
        payload: Payload,
        end: bool,
    ) -> Result<(), SendError> {
        let size = payload.len();
        if size > self.config.max_message {
            return Err(SendError::TooLarge { size, limit: self.config.max_message });
        }
        let stream = self.streams.get_mut(&id).ok_or(SendError::Ended)?;
        stream.out.push(tag, payload, end)?;
        if end && stream.out.is_unwanted() {
            self.give_up(id);
        } else {
            self.schedule(id);
        }
        Ok(())
    }

    /// Queues the last message in this direction in place of all that waits to be sent, half of a
    /// message included. Up to a frame's length, it does not wait for a receiver that is slow.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn conclude(&mut self, id: StreamId, tag: u8, payload: Payload) -> Result<(), SendError> {
        let size = payload.len();
        if size > self.config.max_message {
            return Err(SendError::TooLarge { size, limit: self.config.max_message });
        }
        let stream = self.streams.get_mut(&id).ok_or(SendError::Ended)?;
        stream.out.conclude(tag, payload)?;
        if stream.out.is_unwanted() {
            self.give_up(id);
        } else {
            self.schedule(id);
        }
        Ok(())
    }

    /// Bounds how many messages of the stream may be sent and not read: [`has_room`](Self::has_room)
    /// is false as long as there are so many. Both sides must set the same limit, at least 1, since
    /// the receiver returns credit each time that half of it has been read. Messages sent without
    /// asking for room, such as the last one of a stream, are not held back.
    pub fn limit(&mut self, id: StreamId, messages: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.out.limit(messages.max(1));
            stream.inb.limit(messages.max(1));
            self.grant(id);
        }
    }

    /// From now on a message counts as read when the app says so by [`has_read`](Self::has_read),
    /// and not when it is [received](Self::receive).
    pub fn read_later(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.inb.read_later();
        }
    }

    /// The app has read so many more of the messages that it received.
    pub fn has_read(&mut self, id: StreamId, messages: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.inb.has_read(messages);
            self.grant(id);
        }
    }

    /// Whether fewer than a window's bytes wait to be sent on the stream, and fewer messages than
    /// its [limit](Self::limit) are not read: back-pressure for senders of many messages.
    /// [`MuxEvent::Writable`] tells when there is room again.
    #[must_use]
    pub fn has_room(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.out.has_room())
    }

    /// Whether all that waits to be sent on the stream, and an end without a body behind it, can go
    /// as it is: if not, it may wait for ever for a receiver that does not read.
    /// [`MuxEvent::Writable`] tells when it can.
    pub fn is_covered(&mut self, id: StreamId) -> bool {
        self.streams.get_mut(&id).is_none_or(|stream| stream.out.is_covered())
    }

    /// Whether all that was queued on the stream has left the mux, so that the peer may have it.
    #[must_use]
    pub fn is_flushed(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.out.is_flushed())
    }

    /// Whether all that was queued on any stream has left the mux, what waits for credit included.
    #[must_use]
    pub fn is_flushed_all(&self) -> bool {
        self.urgent.is_empty() && self.streams.values().all(|stream| stream.out.is_flushed())
    }

    /// Whether the peer has reset the stream, or it is closed.
    #[must_use]
    pub fn is_unwanted(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.out.is_unwanted() || stream.closed)
    }

    /// The next message; the room that it took is given back to the peer.
    pub fn receive(&mut self, id: StreamId) -> Option<Message> {
        let stream = self.streams.get_mut(&id)?;
        let message = stream.inb.pop()?;
        self.grant(id);
        Some(message)
    }

    /// Whether the peer sends nothing more, apart from what can be [received](Self::receive).
    #[must_use]
    pub fn is_ended(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.inb.is_ended())
    }

    /// Whether nothing is left of the stream: it was closed, and its handle is gone.
    #[must_use]
    pub fn is_gone(&self, id: StreamId) -> bool {
        !self.streams.contains_key(&id)
    }

    /// Whether a part of a message has come, and not yet all of it.
    #[must_use]
    pub fn is_receiving(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|stream| stream.inb.is_receiving())
    }

    /// Gives the stream up: what waits to be sent is dropped, what comes is ignored. It is closed
    /// when the peer has ended it, too; at once if the peer has never heard of it.
    pub fn reset(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if id == StreamId::CONTROL {
            return;
        }
        stream.inb.discard(None);
        if stream.out.is_fresh() {
            for unheard in std::iter::once(id).chain(std::mem::take(&mut stream.beside)) {
                if let Some(stream) = self.streams.get_mut(&unheard) {
                    stream.out.abandon();
                    stream.inb.end();
                    self.settle(unheard);
                }
            }
        } else {
            self.give_up(id);
        }
    }

    /// The app's handle is gone, but what was asked for shall go on; answers are dropped.
    pub fn detach(&mut self, id: StreamId) {
        self.detach_until(id, None);
    }

    /// [Detaches](Self::detach), and gives the stream up when a message of this tag has come that
    /// is not the last: what would follow, or is kept open by it, is wanted by nobody.
    pub fn detach_until(&mut self, id: StreamId, tag: impl Into<Option<u8>>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.inb.discard(tag.into());
            stream.owned = false;
            self.grant(id);
            self.settle(id);
            self.leave_if_over(id);
        }
    }

    fn leave_if_over(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(|stream| stream.inb.is_over()) {
            self.give_up(id);
        }
    }

    /// The app's handle is gone: the stream is [reset](Self::reset) unless it is closed.
    pub fn release(&mut self, id: StreamId) {
        self.reset(id);
        self.detach(id);
    }

    /// Whether [`poll_frame`](Self::poll_frame) has something to give.
    #[must_use]
    pub fn has_frames(&self) -> bool {
        !self.urgent.is_empty() || !self.ready.is_empty()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<MuxEvent> {
        self.events.pop_front()
    }

    /// The next frame for the session.
    #[must_use = "a frame that was polled must be sent"]
    pub fn poll_frame(&mut self) -> Option<Frame> {
        if let Some(frame) = self.urgent.pop_front() {
            return Some(frame);
        }
        while let Some(id) = self.ready.pop_front() {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.readied = false;
            let opens = stream.out.is_fresh().then(|| stream.beside.clone());
            let opens = opens.map(|beside| self.announce(beside));
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let Some(data) = stream.out.poll(id, opens) else { continue };
            if stream.out.made_room() | stream.out.got_cover() {
                self.events.push_back(MuxEvent::Writable(id));
            }
            if stream.out.is_flushed() {
                for other in std::mem::take(&mut stream.beside) {
                    if let Some(stream) = self.streams.get_mut(&other) {
                        stream.out.uncork();
                        self.schedule(other);
                    }
                }
            }
            self.schedule(id);
            if data.end {
                self.settle(id);
            }
            return Some(Frame::Data(data));
        }
        None
    }

    /// The peer is about to hear of these; those that were given up meanwhile are left out.
    fn announce(&mut self, mut beside: Vec<StreamId>) -> Vec<StreamId> {
        beside.retain(|id| {
            self.streams.get_mut(id).is_some_and(|stream| {
                stream.out.heard();
                !stream.closed
            })
        });
        beside
    }

    /// A frame from the session.
    ///
    /// # Errors
    /// [`MuxViolation`]: end the link.
    pub fn handle_frame(&mut self, frame: Frame) -> Result<(), MuxViolation> {
        match frame {
            Frame::Data(data) => return self.handle_data(data),
            Frame::Credit { stream: id, bytes, messages } => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.out.credit(bytes, messages);
                    if stream.out.made_room() | stream.out.got_cover() {
                        self.events.push_back(MuxEvent::Writable(id));
                    }
                    self.schedule(id);
                }
            }
            Frame::Reset { stream } => self.handle_reset(stream),
        }
        Ok(())
    }

    fn handle_data(&mut self, mut data: Data) -> Result<(), MuxViolation> {
        let id = data.stream;
        if let Some(beside) = data.opens.take() {
            self.accept(id, Origin::Peer)?;
            for other in &beside {
                self.accept(*other, Origin::PeerBeside)?;
            }
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.brought = beside;
            }
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        if stream.inb.push(data, self.config.max_message)? {
            self.events.push_back(if std::mem::take(&mut stream.opening) {
                MuxEvent::Opened(id)
            } else {
                MuxEvent::Readable(id)
            });
        }
        self.grant(id);
        self.settle(id);
        self.leave_if_over(id);
        Ok(())
    }

    fn handle_reset(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if id == StreamId::CONTROL {
            return;
        }
        stream.inb.end();
        let finished = stream.out.unwanted();
        if stream.owned {
            self.events.push_back(MuxEvent::Reset(id));
        }
        // Nobody here will end a stream that nobody has taken.
        if finished || !stream.owned {
            self.give_up(id);
        } else {
            self.settle(id);
        }
    }

    fn accept(&mut self, id: StreamId, origin: Origin) -> Result<(), MuxViolation> {
        if id.0 == 0 || id.0 % 2 == self.next % 2 || self.streams.contains_key(&id) {
            return Err(MuxViolation::Number(id));
        }
        if self.theirs >= self.config.max_streams {
            return Err(MuxViolation::Streams(self.config.max_streams));
        }
        self.theirs += 1;
        self.streams.insert(id, Stream::new(self.config.window, origin));
        Ok(())
    }

    /// This side sends no more, and tells the peer unless it has seen both ends.
    fn give_up(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let cut_short = stream.out.abandon();
        if (cut_short || !stream.inb.is_ended()) && !std::mem::replace(&mut stream.reset, true) {
            self.urgent.push_back(Frame::Reset { stream: id });
        }
        self.settle(id);
    }

    fn grant(&mut self, id: StreamId) {
        // A peer that was sent a reset sends nothing more.
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.reset
            && let Some((bytes, messages)) = stream.inb.take_credit()
        {
            self.urgent.push_back(Frame::Credit { stream: id, bytes, messages });
        }
    }

    fn schedule(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.readied
            && stream.out.can_send()
        {
            stream.readied = true;
            self.ready.push_back(id);
        }
    }

    /// Closes the stream if both directions have ended, and forgets it if no handle is left.
    fn settle(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !(stream.out.is_done() && stream.inb.is_ended()) {
            return;
        }
        if !std::mem::replace(&mut stream.closed, true) {
            let count = if id.0 % 2 == self.next % 2 { &mut self.ours } else { &mut self.theirs };
            *count -= 1;
            self.events.push_back(MuxEvent::Closed(id));
        }
        let brought = std::mem::take(&mut stream.brought);
        if !stream.owned {
            self.streams.remove(&id);
        }
        for id in brought {
            if self.streams.get(&id).is_some_and(|stream| stream.unclaimed) {
                self.release(id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
