//! The handles by which the app's tasks use a link. Cheap to clone; the driver does the work.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use flame_wire::EncodeError;
use flame_wire::frame::StreamId;
use flame_wire::mux::{Message, Mux, MuxEvent, Payload, SendError, TooManyStreams};
use futures_util::future::poll_fn;
use futures_util::task::AtomicWaker;

/// Why a link is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkEnd {
    /// This side closed it.
    #[error("closed by this side")]
    Closed,
    /// The other side closed it.
    #[error("closed by the other side")]
    ClosedByPeer,
    /// The socket was lost, and no other came within the grace.
    #[error("the connection was lost ({why}) and not resumed in time")]
    Lost {
        /// What happened to the last socket.
        why: String,
    },
    /// This side gave the other up: its instance has died, or must.
    #[error("{why}")]
    Aborted {
        /// Why.
        why: String,
    },
    /// The other side broke the protocol.
    #[error("the other side broke the protocol: {why}")]
    Violation {
        /// How.
        why: String,
    },
}

/// The link is over.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the link is over: {0}")]
pub struct LinkClosed(pub Arc<LinkEnd>);

/// Why a message can't be sent or received.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The link is over.
    #[error(transparent)]
    Link(#[from] LinkClosed),
    /// The other side has given the stream up.
    #[error("the other side has given the stream up")]
    Reset,
    /// The message is too large, or the stream has ended.
    #[error(transparent)]
    Send(#[from] SendError),
    /// As many streams are open as the other side takes.
    #[error(transparent)]
    Full(#[from] TooManyStreams),
    /// The message can't be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// One end of a link, for any number of tasks.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("end", &self.shared.lock().end).finish_non_exhaustive()
    }
}

pub(crate) struct Shared {
    state: Mutex<State>,
    driver: AtomicWaker,
}

pub(crate) struct State {
    pub(crate) mux: Mux,
    slots: HashMap<StreamId, Slot>,
    pub(crate) wish: Wish,
    pub(crate) end: Option<Arc<LinkEnd>>,
    closed: Vec<Waker>,
    /// Waits for room on the control stream.
    control: Option<Waker>,
}

/// What the handles want of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    Stay,
    /// Send what is queued, then close.
    Close,
    /// Close now.
    Abort(String),
}

/// What this side keeps of a stream beside the mux.
#[derive(Default)]
struct Slot {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Dropped when the stream is closed.
    guard: Option<Box<dyn Any + Send>>,
    reset: bool,
    /// No handle is left; what remains waits for the stream's end.
    detached: bool,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held can only come from a bug in the state machine; the
        // link goes on as far as it can rather than spread the panic to every caller.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The driver registers before it looks at the state, so that no wake is lost.
    pub(crate) fn register_driver(&self, cx: &Context<'_>) {
        self.driver.register(cx.waker());
    }
}

/// Wakes and drops that must wait until the lock is released.
#[derive(Default)]
pub(crate) struct Aftermath {
    wakers: Vec<Waker>,
    guards: Vec<Box<dyn Any + Send>>,
    pub(crate) opened: Vec<StreamId>,
    pub(crate) control: Vec<Message>,
}

impl Aftermath {
    pub(crate) fn settle(&mut self) {
        self.guards.clear();
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

impl State {
    /// Works off the mux's events.
    pub(crate) fn take_events(&mut self, aftermath: &mut Aftermath) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                MuxEvent::Readable(StreamId::CONTROL) => {
                    aftermath
                        .control
                        .extend(std::iter::from_fn(|| self.mux.receive(StreamId::CONTROL)));
                }
                MuxEvent::Opened(id) => {
                    if self.mux.claim(id) {
                        self.slots.insert(id, Slot::default());
                        aftermath.opened.push(id);
                    }
                }
                MuxEvent::Readable(id) => {
                    if let Some(slot) = self.slots.get_mut(&id) {
                        aftermath.wakers.extend(slot.reader.take());
                    }
                }
                MuxEvent::Writable(StreamId::CONTROL) => {
                    aftermath.wakers.extend(self.control.take());
                }
                MuxEvent::Writable(id) => {
                    if let Some(slot) = self.slots.get_mut(&id) {
                        aftermath.wakers.extend(slot.writer.take());
                    }
                }
                MuxEvent::Reset(id) => {
                    if let Some(slot) = self.slots.get_mut(&id) {
                        slot.reset = true;
                        aftermath.wakers.extend(slot.reader.take());
                        aftermath.wakers.extend(slot.writer.take());
                    }
                }
                MuxEvent::Closed(id) => {
                    let Some(slot) = self.slots.get_mut(&id) else { continue };
                    aftermath.guards.extend(slot.guard.take());
                    aftermath.wakers.extend(slot.reader.take());
                    aftermath.wakers.extend(slot.writer.take());
                    if slot.detached {
                        self.slots.remove(&id);
                    }
                }
            }
        }
    }

    /// Ends everything: whoever waits learns it, whatever was tied to a stream is let go.
    pub(crate) fn finish(&mut self, end: LinkEnd, aftermath: &mut Aftermath) -> Arc<LinkEnd> {
        let end = self.end.get_or_insert_with(|| Arc::new(end)).clone();
        aftermath.wakers.append(&mut self.closed);
        aftermath.wakers.extend(self.control.take());
        for slot in self.slots.values_mut() {
            aftermath.guards.extend(slot.guard.take());
            aftermath.wakers.extend(slot.reader.take());
            aftermath.wakers.extend(slot.writer.take());
        }
        self.slots.retain(|_, slot| !slot.detached);
        end
    }

    fn check(&self) -> Result<(), LinkClosed> {
        self.end.as_ref().map_or(Ok(()), |end| Err(LinkClosed(end.clone())))
    }
}

impl Link {
    pub(crate) fn new(mux: Mux) -> Self {
        let state = State {
            mux,
            slots: HashMap::new(),
            wish: Wish::Stay,
            end: None,
            closed: Vec::new(),
            control: None,
        };
        let shared = Shared { state: Mutex::new(state), driver: AtomicWaker::new() };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Opens a stream with its first message, and `beside` more streams with it. `guard` is
    /// dropped when the first stream has ended on both sides, or with the link.
    ///
    /// # Errors
    /// [`StreamError`], and nothing was sent, also if `message` fails. The guard was dropped.
    pub fn open(
        &self,
        beside: usize,
        guard: Option<Box<dyn Any + Send>>,
        message: impl FnOnce(&[StreamId]) -> Result<(u8, Payload, bool), EncodeError>,
    ) -> Result<(Stream, Vec<Stream>), StreamError> {
        let opened = {
            let mut state = self.shared.lock();
            state.check()?;
            let (id, others) = state.mux.open(beside)?;
            let message = message(&others);
            for id in &others {
                state.slots.insert(*id, Slot::default());
            }
            state.slots.insert(id, Slot { guard, ..Slot::default() });
            let stream = self.stream(id);
            let others = others.into_iter().map(|id| self.stream(id)).collect();
            let sent = message
                .map_err(StreamError::from)
                .and_then(|(tag, payload, end)| Ok(state.mux.send(id, tag, payload, end)?));
            (sent, stream, others)
        };
        self.shared.driver.wake();
        // Dropping the handles on an error takes the lock: not before it is released.
        let (sent, stream, others) = opened;
        sent?;
        Ok((stream, others))
    }

    /// Takes a stream that the other side opened beside another; `None` if it is gone already.
    #[must_use]
    pub fn claim(&self, id: StreamId) -> Option<Stream> {
        let mut state = self.shared.lock();
        if state.end.is_some() || !state.mux.claim(id) {
            return None;
        }
        state.slots.insert(id, Slot::default());
        Some(self.stream(id))
    }

    pub(crate) fn stream(&self, id: StreamId) -> Stream {
        Stream { link: self.clone(), id, released: false, when_dropped: AtomicU16::new(GIVES_UP) }
    }

    /// Sends a message on the control stream.
    ///
    /// # Errors
    /// [`StreamError`]: the link is over.
    pub fn control(&self, tag: u8, payload: Payload) -> Result<(), StreamError> {
        let mut state = self.shared.lock();
        state.check()?;
        state.mux.send(StreamId::CONTROL, tag, payload, false)?;
        drop(state);
        self.shared.driver.wake();
        Ok(())
    }

    /// Waits until the control stream is not congested: for what can wait. Cancel-safe. Of one
    /// link, one task at a time.
    ///
    /// # Errors
    /// [`LinkClosed`].
    pub async fn control_room(&self) -> Result<(), LinkClosed> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            state.check()?;
            if state.mux.has_room(StreamId::CONTROL) {
                return Poll::Ready(Ok(()));
            }
            state.control = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Sends what is queued, then ends the link. Returns at once; see [`closed`](Self::closed).
    pub fn close(&self) {
        self.wish(Wish::Close);
    }

    /// Ends the link now: whoever waits on it gets [`LinkEnd::Aborted`] with this reason.
    pub fn abort(&self, why: impl Into<String>) {
        self.wish(Wish::Abort(why.into()));
    }

    fn wish(&self, wish: Wish) {
        let mut state = self.shared.lock();
        if !matches!(state.wish, Wish::Abort(_)) {
            state.wish = wish;
        }
        drop(state);
        self.shared.driver.wake();
    }

    /// The one stream that is open beside the control stream; none if there are more, or none.
    #[must_use]
    pub fn only_stream(&self) -> Option<StreamId> {
        let state = self.shared.lock();
        let mut ids = state.slots.keys();
        ids.next().copied().filter(|_| ids.next().is_none())
    }

    /// Why the link is over, if it is.
    #[must_use]
    pub fn end(&self) -> Option<Arc<LinkEnd>> {
        self.shared.lock().end.clone()
    }

    /// Waits until the link is over. Cancel-safe.
    pub async fn closed(&self) -> Arc<LinkEnd> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(end) = &state.end {
                return Poll::Ready(end.clone());
            }
            if !state.closed.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.closed.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Whether two handles are of the same link.
    #[must_use]
    pub fn is(&self, other: &Link) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

/// A stream of messages. Dropping it gives it up: the other side is told, and this side's guard
/// is kept until that side has ended, too.
pub struct Stream {
    link: Link,
    id: StreamId,
    released: bool,
    /// [`GIVES_UP`], [`LINGERS`], or the tag until whose message it lingers.
    when_dropped: AtomicU16,
}

const GIVES_UP: u16 = 0x100;
const LINGERS: u16 = 0x101;

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.id.0).finish()
    }
}

impl Stream {
    /// Its number, the same on both sides.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The link that it is part of.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Sends a message without waiting for room; with `end`, the last one.
    ///
    /// # Errors
    /// [`StreamError`], and nothing was sent.
    pub fn send_now(&self, tag: u8, payload: Payload, end: bool) -> Result<(), StreamError> {
        let mut state = self.link.shared.lock();
        state.check()?;
        state.mux.send(self.id, tag, payload, end)?;
        drop(state);
        self.link.shared.driver.wake();
        Ok(())
    }

    /// Sends the last message in place of all that waits to be sent. Up to 32 KB long, it arrives
    /// also where the other side does not read.
    ///
    /// # Errors
    /// [`StreamError`], and nothing was sent.
    pub fn conclude(&self, tag: u8, payload: Payload) -> Result<(), StreamError> {
        let mut state = self.link.shared.lock();
        state.check()?;
        state.mux.conclude(self.id, tag, payload)?;
        drop(state);
        self.link.shared.driver.wake();
        Ok(())
    }

    /// Bounds how many messages may be sent on the stream and not read: while there are so many,
    /// [`room`](Self::room) waits. Both sides must set the same limit.
    pub fn limit(&self, messages: u32) {
        self.credit(|mux, id| mux.limit(id, messages));
    }

    /// From now on a message counts as read when [`has_read`](Self::has_read) says so, and not
    /// when it is received.
    pub fn read_later(&self) {
        self.credit(Mux::read_later);
    }

    /// The app has read so many more of the messages that were received.
    pub fn has_read(&self, messages: u32) {
        self.credit(|mux, id| mux.has_read(id, messages));
    }

    fn credit(&self, change: impl FnOnce(&mut Mux, StreamId)) {
        let mut state = self.link.shared.lock();
        change(&mut state.mux, self.id);
        let wake = state.mux.has_frames();
        drop(state);
        if wake {
            self.link.shared.driver.wake();
        }
    }

    /// Waits until there is room to send. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError::Reset`] once the other side wants no more, [`StreamError::Link`].
    pub async fn room(&self) -> Result<(), StreamError> {
        self.writable(|mux, id| mux.has_room(id)).await
    }

    /// Waits until what was sent, and an end without a body behind it, arrives also if the other
    /// side reads no more. Cancel-safe. Of one stream, wait for this or for room, not for both.
    ///
    /// # Errors
    /// As [`room`](Self::room).
    pub async fn covered(&self) -> Result<(), StreamError> {
        self.writable(Mux::is_covered).await
    }

    async fn writable(&self, so: fn(&mut Mux, StreamId) -> bool) -> Result<(), StreamError> {
        poll_fn(|cx| {
            let mut state = self.link.shared.lock();
            state.check()?;
            if state.mux.is_unwanted(self.id) {
                return Poll::Ready(Err(StreamError::Reset));
            }
            if so(&mut state.mux, self.id) {
                return Poll::Ready(Ok(()));
            }
            if let Some(slot) = state.slots.get_mut(&self.id) {
                slot.writer = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// The next message; `None` after the last one. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`]: the messages that had arrived whole were given before.
    pub async fn receive(&mut self) -> Result<Option<Message>, StreamError> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// [`receive`](Self::receive) for hand-written futures.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, StreamError>> {
        let mut state = self.link.shared.lock();
        if let Some(message) = state.mux.receive(self.id) {
            // The room given back may be worth a frame.
            let wake = state.mux.has_frames();
            drop(state);
            if wake {
                self.link.shared.driver.wake();
            }
            return Poll::Ready(Ok(Some(message)));
        }
        let reset = state.slots.get(&self.id).is_some_and(|slot| slot.reset);
        if !reset && state.mux.is_ended(self.id) {
            return Poll::Ready(Ok(None));
        }
        state.check()?;
        if reset {
            return Poll::Ready(Err(StreamError::Reset));
        }
        if let Some(slot) = state.slots.get_mut(&self.id) {
            slot.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until the other side has reset the stream, or the link is over. Messages are left
    /// where they are. Cancel-safe. Of one stream, wait for this or for messages, not for both.
    pub async fn reset_by_peer(&self) {
        poll_fn(|cx| {
            let mut state = self.link.shared.lock();
            if state.end.is_some() {
                return Poll::Ready(());
            }
            match state.slots.get_mut(&self.id) {
                Some(slot) if !slot.reset => {
                    slot.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Whether a part of a message has come, and not yet all of it.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.link.shared.lock().mux.is_receiving(self.id)
    }

    /// Whether all that was sent has left for the other side, which may then have seen it.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.link.shared.lock().mux.is_flushed(self.id)
    }

    /// From now on dropping the handle does not give the stream up: what was sent is delivered,
    /// what was asked for is done, what comes back is dropped, the guard is kept until the end.
    pub fn linger(&self) {
        self.when_dropped.store(LINGERS, Ordering::Relaxed);
    }

    /// [Lingers](Self::linger) until a message of this tag comes: unless that is the last one, the
    /// stream is given up then.
    pub fn linger_until(&self, tag: u8) {
        self.when_dropped.store(tag.into(), Ordering::Relaxed);
    }

    /// From now on dropping the handle gives the stream up again.
    pub fn linger_no_more(&self) {
        self.when_dropped.store(GIVES_UP, Ordering::Relaxed);
    }

    /// [Lingers](Self::linger), and drops the handle.
    pub fn detach(self) {
        self.linger();
    }

    fn let_go(&mut self, how: impl FnOnce(&mut Mux, StreamId)) {
        if std::mem::replace(&mut self.released, true) {
            return;
        }
        let mut aftermath = Aftermath::default();
        let mut state = self.link.shared.lock();
        how(&mut state.mux, self.id);
        let over = state.end.is_some();
        if let Some(slot) = state.slots.get_mut(&self.id) {
            slot.detached = true;
        }
        state.take_events(&mut aftermath);
        // Closed before this call: its event was taken while the handle stood.
        if over || state.mux.is_gone(self.id) {
            let slot = state.slots.remove(&self.id);
            aftermath.guards.extend(slot.and_then(|slot| slot.guard));
        }
        let wake = state.mux.has_frames();
        drop(state);
        if wake {
            self.link.shared.driver.wake();
        }
        aftermath.settle();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let how = self.when_dropped.load(Ordering::Relaxed);
        self.let_go(|mux, id| match u8::try_from(how) {
            Ok(tag) => mux.detach_until(id, tag),
            Err(_) if how == LINGERS => mux.detach(id),
            Err(_) => mux.release(id),
        });
    }
}
