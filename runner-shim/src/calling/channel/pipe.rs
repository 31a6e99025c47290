//! The byte side of a channel: a bounded queue that says why it ended.
//!
//! A plain queue ends when its sender is dropped, whatever the reason. The pipe adds a fate, set
//! at most once before a half is dropped, which the other half finds behind the last message.

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::ChannelError;

/// The most messages that a channel may hold on one side: what a peer asks for is not what it
/// gets beyond this.
const MAX_CAPACITY: usize = 65_536;

type Fate = Arc<OnceLock<ChannelError>>;

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
    queue: mpsc::Sender<Bytes>,
    fate: Fate,
}

impl PipeSender {
    /// Waits while the queue is full.
    pub(super) async fn send(&self, message: Bytes) -> Result<(), ChannelError> {
        let sent = self.queue.send(message).await;
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
    queue: mpsc::Receiver<Bytes>,
    fate: Fate,
    /// Whether the fate has been reported: an error comes once, then the end.
    told: bool,
}

impl PipeReceiver {
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ChannelError>>> {
        if let Some(message) = ready!(self.queue.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(message)));
        }
        let fate = if self.told { None } else { self.fate.get().cloned() };
        self.told = true;
        Poll::Ready(fate.map(Err))
    }

    pub(super) fn close(&mut self) {
        self.queue.close();
    }

    pub(super) fn capacity(&self) -> u32 {
        u32::try_from(self.queue.max_capacity()).unwrap_or(u32::MAX)
    }

    /// Senders find `error` instead of a mere close. Only the first fate counts.
    pub(super) fn fail(&self, error: ChannelError) {
        let _ = self.fate.set(error);
    }
}
