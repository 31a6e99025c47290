//! Remote functions that wait at a gate until the test opens it.
//!
//! They let a test keep a call under way for exactly as long as it needs, without sleeping.

use std::sync::atomic::AtomicUsize;

use flame_aws::{Blob, Held, Receiver, Sender, channel, remote};

/// The test's side of a gate.
#[derive(Debug)]
pub struct Gate {
    begun: Receiver<u32>,
    open: Sender<()>,
}

impl Gate {
    /// Returns a gate, and the two arguments for the function that waits at it.
    #[must_use]
    pub fn new() -> (Self, Sender<u32>, Receiver<()>) {
        let (begun, has_begun) = channel(1);
        let (open, opened) = channel(1);
        (Self { begun: has_begun, open }, begun, opened)
    }

    /// Waits until the function has reached the gate, and returns its process id.
    pub async fn entered(&mut self) -> u32 {
        let pid = self.begun.recv().await.expect("the function runs");
        pid.expect("the function sends its process id before it ends")
    }

    /// Lets the function continue.
    pub fn open(self) {
        drop(self.open);
    }
}

/// Sends its process id, waits until the gate is open, and returns its process id.
#[remote]
pub async fn gated(begun: Sender<u32>, mut open: Receiver<()>) -> anyhow::Result<u32> {
    begun.send(std::process::id()).await?;
    while open.recv().await?.is_some() {}
    Ok(std::process::id())
}

/// Waits like [`gated`], and returns `blob`.
#[remote]
pub async fn gated_echo(
    begun: Sender<u32>,
    mut open: Receiver<()>,
    blob: Blob,
) -> anyhow::Result<Blob> {
    begun.send(std::process::id()).await?;
    while open.recv().await?.is_some() {}
    Ok(blob)
}

/// Waits like [`gated`], in a plain function, which can't be cancelled.
#[remote]
pub fn gated_plainly(begun: Sender<u32>, mut open: Receiver<()>) -> u32 {
    let gate = async move {
        begun.send(std::process::id()).await.expect("the test receives it");
        // A cancelled call may lose its channels: an error opens the gate, too.
        while let Ok(Some(())) = open.recv().await {}
    };
    tokio::runtime::Handle::current().block_on(gate);
    std::process::id()
}

/// Waits like [`gated`], and returns a held value.
#[remote]
pub async fn gated_counter(begun: Sender<u32>, mut open: Receiver<()>) -> Held<AtomicUsize> {
    // The test may have dropped its side: this function has to return its value even then.
    let _ = begun.send(std::process::id()).await;
    while let Ok(Some(())) = open.recv().await {}
    Held::new(AtomicUsize::new(0))
}
