//! The handle of one stream of a link.

use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};

use flame_wire::frame::StreamId;
use flame_wire::mux::{Message, Mux, Payload, SendError};
use futures_util::future::poll_fn;

use crate::error::StreamError;
use crate::link::Link;
use crate::state::Deferred;

/// A two-way stream of messages. Dropping it resets the stream, which also tells the peer. The
/// stream's guard is kept until the peer has ended the stream, too.
pub struct Stream {
    link: Link,
    id: StreamId,
    on_drop: OnDropCell,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.id.0).finish()
    }
}

impl Stream {
    pub(crate) fn new(link: Link, id: StreamId) -> Self {
        Self { link, id, on_drop: OnDropCell::new() }
    }

    /// The number of the stream, the same on both sides.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The link that the stream belongs to.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Queues a message without waiting for room. With `end`, it is the last one.
    ///
    /// # Errors
    /// [`StreamError`]. Nothing was sent.
    pub fn send_now(&self, tag: u8, payload: Payload, end: bool) -> Result<(), StreamError> {
        self.send_with(|mux, id| mux.send(id, tag, payload, end))
    }

    /// Queues the last message and discards every message that still waits to be sent. A message of
    /// up to 32 KB arrives even if the peer has stopped reading.
    ///
    /// # Errors
    /// [`StreamError`]. Nothing was sent.
    pub fn conclude(&self, tag: u8, payload: Payload) -> Result<(), StreamError> {
        self.send_with(|mux, id| mux.conclude(id, tag, payload))
    }

    fn send_with(
        &self,
        send: impl FnOnce(&mut Mux, StreamId) -> Result<(), SendError>,
    ) -> Result<(), StreamError> {
        let shared = self.link.shared();
        let mut state = shared.lock();
        state.check_open()?;
        send(&mut state.mux, self.id)?;
        drop(state);
        shared.wake_driver();
        Ok(())
    }

    /// Limits how many messages on the stream may be sent but not yet read. At the limit,
    /// [`writable`](Self::writable) waits. Both sides must set the same limit.
    pub fn set_message_limit(&self, messages: u32) {
        self.update_credit(|mux, id| mux.set_message_limit(id, messages));
    }

    /// From now on a message counts as read when [`mark_read`](Self::mark_read) is called, and not
    /// when it is received.
    pub fn mark_read_manually(&self) {
        self.update_credit(Mux::mark_read_manually);
    }

    /// Marks this many more of the received messages as read.
    pub fn mark_read(&self, messages: u32) {
        self.update_credit(|mux, id| mux.mark_read(id, messages));
    }

    fn update_credit(&self, update: impl FnOnce(&mut Mux, StreamId)) {
        let shared = self.link.shared();
        let mut state = shared.lock();
        update(&mut state.mux, self.id);
        let wake = state.mux.has_frames();
        drop(state);
        if wake {
            shared.wake_driver();
        }
    }

    /// Waits until there is room to send. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError::Reset`] if the peer has reset the stream, or [`StreamError::Link`].
    pub async fn writable(&self) -> Result<(), StreamError> {
        self.writable_when(|mux, id| mux.has_room(id)).await
    }

    /// Waits until the peer's credit covers all queued messages and an empty last message, so that
    /// they arrive even if the peer stops reading. Only one task of a stream may wait for this or
    /// for [`writable`](Self::writable). Cancel-safe.
    ///
    /// # Errors
    /// As [`writable`](Self::writable).
    pub async fn within_credit(&self) -> Result<(), StreamError> {
        self.writable_when(Mux::is_within_credit).await
    }

    async fn writable_when(
        &self,
        ready: fn(&mut Mux, StreamId) -> bool,
    ) -> Result<(), StreamError> {
        poll_fn(|cx| {
            let mut state = self.link.shared().lock();
            state.check_open()?;
            if state.mux.is_unwanted(self.id) {
                return Poll::Ready(Err(StreamError::Reset));
            }
            if ready(&mut state.mux, self.id) {
                return Poll::Ready(Ok(()));
            }
            if let Some(stream) = state.streams.get_mut(&self.id) {
                stream.writer = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Receives the next message, or `None` after the last one. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`], after every message that has arrived whole.
    pub async fn receive(&mut self) -> Result<Option<Message>, StreamError> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// The poll function of [`receive`](Self::receive).
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, StreamError>> {
        let shared = self.link.shared();
        let mut state = shared.lock();
        if let Some(message) = state.mux.receive(self.id) {
            // Receiving may have made the mux return credit to the peer.
            let wake = state.mux.has_frames();
            drop(state);
            if wake {
                shared.wake_driver();
            }
            return Poll::Ready(Ok(Some(message)));
        }
        let is_reset = state.streams.get(&self.id).is_some_and(|stream| stream.is_reset);
        if !is_reset && state.mux.is_ended(self.id) {
            return Poll::Ready(Ok(None));
        }
        state.check_open()?;
        if is_reset {
            return Poll::Ready(Err(StreamError::Reset));
        }
        if let Some(stream) = state.streams.get_mut(&self.id) {
            stream.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until the peer has reset the stream or the link has ended. It receives no messages.
    /// Only one task of a stream may wait for this or for messages. Cancel-safe.
    pub async fn reset_by_peer(&self) {
        poll_fn(|cx| {
            let mut state = self.link.shared().lock();
            if state.end.is_some() {
                return Poll::Ready(());
            }
            match state.streams.get_mut(&self.id) {
                Some(stream) if !stream.is_reset => {
                    stream.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Returns whether the beginning of a message has arrived, but not yet its end.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.link.shared().lock().mux.is_receiving(self.id)
    }

    /// Returns whether everything that was queued has left the mux, so that the peer may have seen
    /// it.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.link.shared().lock().mux.is_flushed(self.id)
    }

    /// From now on, dropping the handle does not reset the stream. Queued messages are delivered,
    /// the peer goes on, messages that arrive are discarded, and the guard is kept until both sides
    /// have ended the stream.
    pub fn keep_on_drop(&self) {
        self.on_drop.set(OnDrop::Keep);
    }

    /// Like [`keep_on_drop`](Self::keep_on_drop), but resets the stream as soon as a message with
    /// this tag arrives that is not the last.
    pub fn keep_on_drop_until(&self, tag: u8) {
        self.on_drop.set(OnDrop::KeepUntil(tag));
    }

    /// From now on, dropping the handle resets the stream again.
    pub fn reset_on_drop(&self) {
        self.on_drop.set(OnDrop::Reset);
    }

    /// Drops the handle without resetting the stream: see [`keep_on_drop`](Self::keep_on_drop).
    pub fn detach(self) {
        self.keep_on_drop();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut deferred = Deferred::default();
        let shared = self.link.shared();
        let mut state = shared.lock();
        match self.on_drop.get() {
            OnDrop::Reset => state.mux.release(self.id),
            OnDrop::Keep => state.mux.detach(self.id),
            OnDrop::KeepUntil(tag) => state.mux.detach_until(self.id, tag),
        }
        let has_ended = state.end.is_some();
        if let Some(stream) = state.streams.get_mut(&self.id) {
            stream.is_detached = true;
        }
        state.handle_events(&mut deferred);
        // If the stream had closed before, its event was handled while this handle existed.
        if has_ended || state.mux.is_gone(self.id) {
            let stream = state.streams.remove(&self.id);
            deferred.guards.extend(stream.and_then(|stream| stream.guard));
        }
        let wake = state.mux.has_frames();
        drop(state);
        if wake {
            shared.wake_driver();
        }
        deferred.run();
    }
}

/// The effect on a stream of dropping its handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OnDrop {
    Reset,
    Keep,
    /// Keep the stream until a message with this tag arrives.
    KeepUntil(u8),
}

/// An [`OnDrop`] that shared references can change.
struct OnDropCell(AtomicU16);

impl OnDropCell {
    const RESET: u16 = 0x100;
    const KEEP: u16 = 0x101;

    fn new() -> Self {
        Self(AtomicU16::new(Self::RESET))
    }

    fn get(&self) -> OnDrop {
        let value = self.0.load(Ordering::Relaxed);
        match u8::try_from(value) {
            Ok(tag) => OnDrop::KeepUntil(tag),
            Err(_) if value == Self::KEEP => OnDrop::Keep,
            Err(_) => OnDrop::Reset,
        }
    }

    fn set(&self, on_drop: OnDrop) {
        let value = match on_drop {
            OnDrop::Reset => Self::RESET,
            OnDrop::Keep => Self::KEEP,
            OnDrop::KeepUntil(tag) => tag.into(),
        };
        self.0.store(value, Ordering::Relaxed);
    }
}
