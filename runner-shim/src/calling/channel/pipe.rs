//! The byte side of a channel: a bounded queue that knows why it ended.
//!
//! A plain queue ends when its sender is dropped, whatever the reason. A pipe also has an ending,
//! set at most once before one half is dropped. The other half finds it after the last message. A
//! message may carry a [`ReadCounter`], which counts it when it is read. Clones of a sender may be
//! on several runners, so each of them has a counter of its own.

use std::{
    future::poll_fn,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::mpsc;

use super::ChannelError;

/// The most messages that a channel may hold on one side. A peer that asks for more gets this many.
const MAX_CAPACITY: usize = 65_536;

type Ending = Arc<OnceLock<ChannelError>>;

/// Counts the messages of one sender that the receiver has read.
#[derive(Debug)]
pub(super) struct ReadCounter {
    /// Read messages that [`ReadCounter::next`] has not returned yet.
    count: AtomicU32,
    /// [`ReadCounter::next`] returns from this number on.
    threshold: u32,
    /// The task that waits in [`ReadCounter::next`].
    waiting: AtomicWaker,
}

impl ReadCounter {
    pub(super) fn new(capacity: u32) -> Arc<Self> {
        let (count, waiting) = (AtomicU32::new(0), AtomicWaker::new());
        Arc::new(Self { count, threshold: (capacity / 2).max(1), waiting })
    }

    fn add_one(&self) {
        if self.count.fetch_add(1, Ordering::AcqRel) + 1 >= self.threshold {
            self.waiting.wake();
        }
    }

    /// Waits until half of the capacity has been read, and returns the number of messages read.
    /// Each is counted once. Cancel safe. Only one task at a time may wait.
    pub(super) async fn next(&self) -> u32 {
        poll_fn(|cx| {
            self.waiting.register(cx.waker());
            if self.count.load(Ordering::Acquire) < self.threshold {
                return Poll::Pending;
            }
            Poll::Ready(self.count.swap(0, Ordering::AcqRel))
        })
        .await
    }
}

#[derive(Debug)]
struct ChannelMessage {
    message: Bytes,
    read_counter: Option<Arc<ReadCounter>>,
}

pub(super) fn pipe(capacity: usize) -> (PipeSender, PipeReceiver) {
    let (sender, receiver) = mpsc::channel(capacity.clamp(1, MAX_CAPACITY));
    let ending = Ending::default();
    (
        PipeSender { queue: sender, ending: Arc::clone(&ending) },
        PipeReceiver { queue: receiver, ending, reported: false },
    )
}

#[derive(Debug, Clone)]
pub(super) struct PipeSender {
    queue: mpsc::Sender<ChannelMessage>,
    ending: Ending,
}

impl PipeSender {
    /// Waits while the queue is full. `read_counter` counts the message when it is read.
    pub(super) async fn send(
        &self,
        message: Bytes,
        read_counter: Option<Arc<ReadCounter>>,
    ) -> Result<(), ChannelError> {
        let sent = self.queue.send(ChannelMessage { message, read_counter }).await;
        sent.map_err(|_| self.ending.get().cloned().unwrap_or(ChannelError::Closed))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }

    pub(super) fn capacity(&self) -> u32 {
        u32::try_from(self.queue.max_capacity()).unwrap_or(u32::MAX)
    }

    /// The receiver finds `error` after the last message. Only the first ending counts.
    pub(super) fn fail(&self, error: ChannelError) {
        let _ = self.ending.set(error);
    }
}

#[derive(Debug)]
pub(super) struct PipeReceiver {
    queue: mpsc::Receiver<ChannelMessage>,
    ending: Ending,
    /// Whether the ending was reported: an error comes once, then the end.
    reported: bool,
}

impl PipeReceiver {
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ChannelError>>> {
        if let Some(ChannelMessage { message, read_counter }) = ready!(self.queue.poll_recv(cx)) {
            if let Some(read_counter) = read_counter {
                read_counter.add_one();
            }
            return Poll::Ready(Some(Ok(message)));
        }
        let ending = if self.reported { None } else { self.ending.get().cloned() };
        self.reported = true;
        Poll::Ready(ending.map(Err))
    }

    /// Accepts no more messages. Those in the queue can still be received.
    pub(super) fn close(&mut self) {
        self.queue.close();
    }

    /// Whether there are senders, so that the end is not a clean one.
    pub(super) fn has_senders(&self) -> bool {
        self.queue.sender_strong_count() > 0
    }

    pub(super) fn capacity(&self) -> u32 {
        u32::try_from(self.queue.max_capacity()).unwrap_or(u32::MAX)
    }

    /// Senders get `error` instead of a plain close. Only the first ending counts.
    pub(super) fn fail(&self, error: ChannelError) {
        let _ = self.ending.set(error);
    }
}
