//! Remote functions that send or receive much, or nothing at all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flame_aws::{Blob, Held, Receiver, Sender, remote};
use futures_util::{Stream, StreamExt, stream};

/// Returns how many items [`endless`](super::endless) has made on this runner.
#[remote]
pub async fn endless_items_made() -> u64 {
    super::MADE.load(Ordering::Relaxed)
}

/// Sends numbers until `send` has waited for 300 ms. Returns how many numbers were accepted.
#[remote]
pub async fn sends_until_full(numbers: Sender<u64>) -> u64 {
    let mut sent = 0;
    let patience = Duration::from_millis(300);
    while let Ok(Ok(())) = tokio::time::timeout(patience, numbers.send(sent)).await {
        sent += 1;
    }
    sent
}

/// Sends `count` messages of `bytes` bytes each. Returns how many were accepted.
#[remote]
pub async fn sends_messages(out: Sender<Blob>, count: usize, bytes: usize) -> usize {
    for sent in 0..count {
        if out.send(super::bytes(bytes)).await.is_err() {
            return sent;
        }
    }
    count
}

/// Streams `count` blobs of `bytes` bytes each.
#[remote]
pub fn streams_blobs(count: usize, bytes: usize) -> impl Stream<Item = Blob> {
    stream::iter(0..count).map(move |_| super::bytes(bytes))
}

/// Reads each channel to its end. Returns how many ended without an error.
#[remote]
pub async fn count_closed_channels(channels: Vec<Receiver<u64>>) -> usize {
    let mut closed = 0;
    for mut channel in channels {
        while let Ok(message) = channel.recv().await {
            if message.is_none() {
                closed += 1;
                break;
            }
        }
    }
    closed
}

/// Never returns, and never reads its channels.
#[remote]
pub async fn keeps_channels_open(_channels: Vec<Receiver<()>>) {
    std::future::pending().await
}

/// Streams held values, which is not allowed.
#[remote]
pub fn streams_held_values() -> impl Stream<Item = Held<AtomicUsize>> {
    stream::iter(0..).map(|number| Held::new(AtomicUsize::new(number)))
}
