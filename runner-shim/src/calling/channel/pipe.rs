//! The byte side of a channel: a bounded queue that says why it ended.
//!
//! A plain queue ends when its sender is dropped, whatever the reason. The pipe adds a fate, set
//! at most once before a half is dropped, which the other half finds behind the last message. And
//! a message may carry a [`Reads`], which learns when the message has been read. Clones of a sender
//! may be on several runners, so each of these has its own.

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

/// The most messages that a channel may hold on one side: what a peer asks for is not what it
/// gets beyond this.
const MAX_CAPACITY: usize = 65_536;

type Fate = Arc<OnceLock<ChannelError>>;

/// Counts the messages of one origin that the receiver has read.
#[derive(Debug)]
pub(super) struct Reads {
    /// Read, and not taken by [`Reads::next`] yet.
    count: AtomicU32,
    /// How many are worth telling.
    worth: u32,
    /// Waits in [`Reads::next`].
    waiting: AtomicWaker,
}

impl Reads {
    pub(super) fn new(capacity: u32) -> Arc<Self> {
        let (count, waiting) = (AtomicU32::new(0), AtomicWaker::new());
        Arc::new(Self { count, worth: (capacity / 2).max(1), waiting })
    }

    fn add_one(&self) {
        if self.count.fetch_add(1, Ordering::AcqRel) + 1 >= self.worth {
            self.waiting.wake();
        }
    }

    /// Waits until half of the capacity has been read, and gives the number of messages that have
    /// been. Each is counted once. Cancel safe. One task at a time may wait for this.
    pub(super) async fn next(&self) -> u32 {
        poll_fn(|cx| {
            self.waiting.register(cx.waker());
            if self.count.load(Ordering::Acquire) < self.worth {
                return Poll::Pending;
            }
            Poll::Ready(self.count.swap(0, Ordering::AcqRel))
        })
        .await
    }
}

#[derive(Debug)]
struct Queued {
    message: Bytes,
    reads: Option<Arc<Reads>>,
}

pub(super) fn pipe(capacity: usize) -> (PipeSender, PipeReceiver) {
    let (sender, receiver) = mpsc::channel(capacity.clamp(1, MAX_CAPACITY));
    let fate = Fate::default();
    (
        PipeSender { queue: sender, fate: Arc::clone(&fate) },
        PipeReceiver { queue: receiver, fate, told: false },
    )
}

#[derive(Debug, Clone)]
pub(super) struct PipeSender {
    queue: mpsc::Sender<Queued>,
    fate: Fate,
}

impl PipeSender {
    /// Waits while the queue is full. `reads` learns when the message has been read.
    pub(super) async fn send(
        &self,
        message: Bytes,
        reads: Option<Arc<Reads>>,
    ) -> Result<(), ChannelError> {
        let sent = self.queue.send(Queued { message, reads }).await;
        sent.map_err(|_| self.fate.get().cloned().unwrap_or(ChannelError::Closed))
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

    /// The receiver finds `error` behind the last message. Only the first fate counts.
    pub(super) fn fail(&self, error: ChannelError) {
        let _ = self.fate.set(error);
    }
}

#[derive(Debug)]
pub(super) struct PipeReceiver {
    queue: mpsc::Receiver<Queued>,
    fate: Fate,
    /// Whether the fate has been reported: an error comes once, then the end.
    told: bool,
}

impl PipeReceiver {
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ChannelError>>> {
        if let Some(Queued { message, reads }) = ready!(self.queue.poll_recv(cx)) {
            if let Some(reads) = reads {
                reads.add_one();
            }
            return Poll::Ready(Some(Ok(message)));
        }
        let fate = if self.told { None } else { self.fate.get().cloned() };
        self.told = true;
        Poll::Ready(fate.map(Err))
    }

    /// Accepts no more messages; those that wait still come.
    pub(super) fn close(&mut self) {
        self.queue.close();
    }

    /// Whether there are senders, so that the end is not theirs.
    pub(super) fn has_senders(&self) -> bool {
        self.queue.sender_strong_count() > 0
    }

    pub(super) fn capacity(&self) -> u32 {
        u32::try_from(self.queue.max_capacity()).unwrap_or(u32::MAX)
    }

    /// Senders find `error` instead of a mere close. Only the first fate counts.
    pub(super) fn fail(&self, error: ChannelError) {
        let _ = self.fate.set(error);
    }
}
