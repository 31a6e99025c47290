//! The state that the handles of a link share with its driver.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use flame_wire::frame::StreamId;
use flame_wire::mux::{Message, Mux, MuxEvent};
use flame_wire::sync::{Mutex, MutexGuard};
use futures_util::task::AtomicWaker;

use crate::error::{LinkClosed, LinkEnd};
use crate::traffic::{Traffic, TrafficCounter};

/// A link, shared by its handles and its driver.
pub(crate) struct LinkShared {
    state: Mutex<LinkInner>,
    driver: AtomicWaker,
    pub(crate) counter: TrafficCounter,
}

impl LinkShared {
    pub(crate) fn new(mux: Mux) -> Self {
        let state = LinkInner {
            mux,
            streams: HashMap::new(),
            close_request: None,
            end: None,
            closed_wakers: Vec::new(),
            control_writer: None,
        };
        Self {
            state: Mutex::new(state),
            driver: AtomicWaker::new(),
            counter: TrafficCounter::default(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, LinkInner> {
        self.state.lock()
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.counter.read()
    }

    /// The driver registers before it looks at the state, so that it misses no wake-up.
    pub(crate) fn register_driver(&self, cx: &Context<'_>) {
        self.driver.register(cx.waker());
    }

    pub(crate) fn wake_driver(&self) {
        self.driver.wake();
    }
}

pub(crate) struct LinkInner {
    pub(crate) mux: Mux,
    pub(crate) streams: HashMap<StreamId, StreamEntry>,
    /// How the handles have asked the driver to end the link, if they have.
    pub(crate) close_request: Option<CloseRequest>,
    pub(crate) end: Option<Arc<LinkEnd>>,
    /// Tasks that wait for the end of the link.
    pub(crate) closed_wakers: Vec<Waker>,
    /// The task that waits for room on the control stream.
    pub(crate) control_writer: Option<Waker>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CloseRequest {
    /// Send everything that is queued, then close.
    Graceful,
    /// Close now, for this reason.
    Abort(String),
}

/// The state of a stream that the mux does not have.
#[derive(Default)]
pub(crate) struct StreamEntry {
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    /// Dropped when the stream is closed.
    pub(crate) guard: Option<Box<dyn Any + Send>>,
    /// The peer has reset the stream.
    pub(crate) is_reset: bool,
    /// The handle has been dropped, and this entry waits for the end of the stream.
    pub(crate) is_detached: bool,
}

impl StreamEntry {
    fn take_wakers(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.reader.take().into_iter().chain(self.writer.take())
    }
}

/// Effects that have to wait until the lock is released.
#[derive(Default)]
pub(crate) struct Deferred {
    pub(crate) wakers: Vec<Waker>,
    pub(crate) guards: Vec<Box<dyn Any + Send>>,
    /// Streams that the peer has opened.
    pub(crate) opened: Vec<StreamId>,
    /// Messages on the control stream.
    pub(crate) control: Vec<Message>,
}

impl Deferred {
    /// Drops the guards and wakes the tasks.
    pub(crate) fn run(&mut self) {
        self.guards.clear();
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

impl LinkInner {
    /// Handles all events of the mux.
    pub(crate) fn handle_events(&mut self, deferred: &mut Deferred) {
        while let Some(event) = self.mux.poll_event() {
            self.handle_event(event, deferred);
        }
    }

    fn handle_event(&mut self, event: MuxEvent, deferred: &mut Deferred) {
        match event {
            MuxEvent::Readable(StreamId::CONTROL) => {
                let messages = std::iter::from_fn(|| self.mux.receive(StreamId::CONTROL));
                deferred.control.extend(messages);
            }
            MuxEvent::Writable(StreamId::CONTROL) => {
                deferred.wakers.extend(self.control_writer.take());
            }
            MuxEvent::Opened(id) => {
                if self.mux.claim(id) {
                    self.streams.insert(id, StreamEntry::default());
                    deferred.opened.push(id);
                }
            }
            MuxEvent::Readable(id) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    deferred.wakers.extend(stream.reader.take());
                }
            }
            MuxEvent::Writable(id) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    deferred.wakers.extend(stream.writer.take());
                }
            }
            MuxEvent::Reset(id) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.is_reset = true;
                    deferred.wakers.extend(stream.take_wakers());
                }
            }
            MuxEvent::Closed(id) => {
                let Some(stream) = self.streams.get_mut(&id) else { return };
                deferred.guards.extend(stream.guard.take());
                deferred.wakers.extend(stream.take_wakers());
                if stream.is_detached {
                    self.streams.remove(&id);
                }
            }
        }
    }

    /// Ends the link: wakes every task that waits on it, and drops the guards of all streams.
    pub(crate) fn finish(&mut self, end: LinkEnd, deferred: &mut Deferred) -> Arc<LinkEnd> {
        let end = self.end.get_or_insert_with(|| Arc::new(end)).clone();
        deferred.wakers.append(&mut self.closed_wakers);
        deferred.wakers.extend(self.control_writer.take());
        for stream in self.streams.values_mut() {
            deferred.guards.extend(stream.guard.take());
            deferred.wakers.extend(stream.take_wakers());
        }
        self.streams.retain(|_, stream| !stream.is_detached);
        end
    }

    pub(crate) fn check_open(&self) -> Result<(), LinkClosed> {
        self.end.as_ref().map_or(Ok(()), |end| Err(LinkClosed(end.clone())))
    }
}
