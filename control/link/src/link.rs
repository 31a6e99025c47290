//! The handle of a link. It is cheap to clone; the driver does the work. `open.rs` opens streams.

use std::fmt;
use std::sync::Arc;
use std::task::Poll;

use flame_wire::frame::StreamId;
use flame_wire::mux::{Mux, Payload};
use futures_util::future::poll_fn;

use crate::error::{LinkClosed, LinkEnd, StreamError};
use crate::state::{CloseRequest, LinkShared};
use crate::traffic::Traffic;

/// One end of a link, for any number of tasks.
#[derive(Clone)]
pub struct Link {
    shared: Arc<LinkShared>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("end", &self.shared.lock().end).finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(mux: Mux) -> Self {
        Self { shared: Arc::new(LinkShared::new(mux)) }
    }

    pub(crate) fn shared(&self) -> &Arc<LinkShared> {
        &self.shared
    }

    /// Sends a message on the control stream.
    ///
    /// # Errors
    /// [`StreamError`] if the link has ended.
    pub fn send_control(&self, tag: u8, payload: Payload) -> Result<(), StreamError> {
        let mut state = self.shared.lock();
        state.check_open()?;
        state.mux.send(StreamId::CONTROL, tag, payload, false)?;
        drop(state);
        self.shared.wake_driver();
        Ok(())
    }

    /// Waits until the control stream has room, for messages that can wait. Only one task of a link
    /// may wait at a time. Cancel-safe.
    ///
    /// # Errors
    /// [`LinkClosed`].
    pub async fn control_writable(&self) -> Result<(), LinkClosed> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            state.check_open()?;
            if state.mux.has_room(StreamId::CONTROL) {
                return Poll::Ready(Ok(()));
            }
            state.control_writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Ends the link once everything that is queued has been sent. Returns at once;
    /// [`closed`](Self::closed) waits for the end.
    pub fn close(&self) {
        self.request_close(CloseRequest::Graceful);
    }

    /// Ends the link now. Every task that waits on it gets [`LinkEnd::Aborted`] with this reason.
    pub fn abort(&self, why: impl Into<String>) {
        self.request_close(CloseRequest::Abort(why.into()));
    }

    fn request_close(&self, request: CloseRequest) {
        let mut state = self.shared.lock();
        if !matches!(state.close_request, Some(CloseRequest::Abort(_))) {
            state.close_request = Some(request);
        }
        drop(state);
        self.shared.wake_driver();
    }

    /// The only open stream besides the control stream, or `None` if there are none or several.
    #[must_use]
    pub fn only_stream(&self) -> Option<StreamId> {
        let state = self.shared.lock();
        let mut ids = state.streams.keys();
        ids.next().copied().filter(|_| ids.next().is_none())
    }

    /// The bytes of the link so far, on all its sockets together.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.shared.traffic()
    }

    /// Why the link has ended, or `None` if it is open.
    #[must_use]
    pub fn end(&self) -> Option<Arc<LinkEnd>> {
        self.shared.lock().end.clone()
    }

    /// Waits until the link has ended. Cancel-safe.
    pub async fn closed(&self) -> Arc<LinkEnd> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(end) = &state.end {
                return Poll::Ready(end.clone());
            }
            if !state.closed_wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.closed_wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Returns whether two handles belong to the same link.
    #[must_use]
    pub fn same_link(&self, other: &Link) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}
