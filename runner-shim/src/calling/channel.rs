//! Typed channels, either end of which may be an argument of remote work.
//!
//! ```text
//!   parent                                        runner
//!   let (jobs, rx) = channel(8);
//!   pool.place_child(worker(rx, done))            async fn worker(jobs: Receiver<Job>, ..)
//!   jobs.send(job)                                jobs.recv()
//!     | Bytes, at most 8 waiting                    ^ Bytes, at most 8 waiting, here or on the link
//!     v                                             |
//!   ChannelEnd::Send(Outlet) == pump == link == pump == ChannelEnd::Recv(Inlet)
//! ```
//!
//! Work is encoded before it is known which runner serves it, so an end that crosses leaves its
//! place in the arguments and its byte side in [`EncodedWork::ends`](super::work::EncodedWork::ends), in
//! order. The runner's decoding makes a fresh channel for each and hands out its byte side in
//! [`PreparedCall::ends`](super::invoke::PreparedCall::ends), in the same order. The driver of the
//! link joins each pair by a stream: it does not know the type, nor which side it is on.
//!
//! Invariants:
//! - At most `capacity` messages wait on each side of the link; then `send` waits. Those on the
//!   link count as the receiver's: [`pump`](crate::pump) sends no more before some are read.
//! - The end of the messages is only ever what the sender meant as the end: every sender dropped.
//!   A message that does not decode, or a link that is lost, is an error.

mod ends;
mod error;
mod pipe;

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

pub(crate) use ends::ChannelTable;
pub use ends::{ChannelEnd, InboundMessages, OutboundMessages};
pub use error::ChannelError;

use super::codec::{self, Wire};
use pipe::{PipeReceiver, PipeSender};

/// A channel for messages of type `T`, of which at most `capacity` wait (1 to 65,536).
///
/// Either end, or both, may be an argument of remote work; the other stays here and speaks with
/// it for as long as the work runs. Messages are encoded also when both ends stay in one process.
///
/// Across a link at most `capacity` messages wait on each side, so a sender is at most twice
/// `capacity` messages ahead of a receiver that does not read. Those on their way count as the
/// receiver's side; of several senders on runners, each has `capacity` of its own. The receiver's
/// side tells the sender's what was read in steps of half of the capacity. So at most `capacity`
/// messages cross in one round trip: for many small messages over a distance take some hundreds.
///
/// **What `send` has accepted is delivered** before a runner that ends in order goes (single use,
/// idle, lifetime, drain, SIGTERM), also after the function has returned. The runner waits for a
/// slow receiver for as long as its shutdown window, `shutdown_timeout` (5 s where that is
/// shorter). What is not read by then is lost, and the receiver gets [`ChannelError::Lost`] in its
/// place; `None` always means that all was delivered.
///
/// ```text
/// #[remote]
/// async fn worker(mut jobs: Receiver<Job>, done: Sender<Report>) -> Result<(), ChannelError> {
///     while let Some(job) = jobs.recv().await? {
///         done.send(job.run()).await?;
///     }
///     Ok(())
/// }
///
/// let (jobs, rx) = channel(8);
/// let (tx, mut done) = channel(8);
/// let child = pool.place_child(worker(rx, tx)).await?;
/// jobs.send(Job::new()).await?;
/// let report = done.recv().await?;
/// ```
#[must_use]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = pipe::pipe(capacity);
    (Sender::new(sender), Receiver::new(receiver))
}

/// The end of a [`channel()`] that messages go into.
///
/// Clones share the channel, which ends when the last is dropped. A sender given as an argument
/// to remote work is a clone too: drop your own, if the work is to end the channel.
pub struct Sender<T> {
    pipe: PipeSender,
    message: PhantomData<fn(T)>,
}

impl<T> Sender<T> {
    fn new(pipe: PipeSender) -> Self {
        Self { pipe, message: PhantomData }
    }

    /// Whether nobody will receive what is sent from now on.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.pipe.is_closed()
    }

    /// Waits until nobody will receive any more.
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        self.pipe.closed().await;
    }
}

impl<T: Wire> Sender<T> {
    /// Sends `message`; waits while the channel is full.
    ///
    /// Cancel safe in that the message is sent in whole or not at all, and not sent if the future
    /// is dropped before it is ready.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] if nobody receives any more, [`ChannelError::Lost`] if the link to
    /// the receiver was lost, [`ChannelError::Encode`] if the message does not encode.
    pub fn send(&self, message: T) -> impl Future<Output = Result<(), ChannelError>> + Send {
        // Encoded at once, so that the future need not hold the message.
        let bytes = codec::encode(&message).map_err(ChannelError::Encode);
        async move { self.pipe.send(bytes?, None).await }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::new(self.pipe.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish()
    }
}

/// The end of a [`channel()`] that messages come out of. It is also a [`Stream`] of
/// `Result<T, ChannelError>`.
pub struct Receiver<T> {
    /// `None` once it has been sent away. Behind a lock because serializing takes `&self`.
    pipe: Mutex<Option<PipeReceiver>>,
    message: PhantomData<fn() -> T>,
}

impl<T> Receiver<T> {
    fn new(pipe: PipeReceiver) -> Self {
        Self { pipe: Mutex::new(Some(pipe)), message: PhantomData }
    }

    /// Stops accepting messages; those that wait can still be received.
    pub fn close(&mut self) {
        if let Some(pipe) = self.pipe() {
            pipe.close();
        }
    }

    fn pipe(&mut self) -> Option<&mut PipeReceiver> {
        self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()
    }

    fn take(&self) -> Option<PipeReceiver> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T: Wire> Receiver<T> {
    /// The next message; `None` when every sender has been dropped and all has been received.
    ///
    /// Cancel safe: a message is not lost if the future is dropped.
    ///
    /// # Errors
    /// [`ChannelError::Decode`] for a message that is not a `T`; the next one may be.
    /// [`ChannelError::Lost`], once, if the link to the sender was lost: messages may be missing.
    pub async fn recv(&mut self) -> Result<Option<T>, ChannelError> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await.transpose()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, ChannelError>>> {
        let Some(pipe) = self.pipe() else {
            return Poll::Ready(Some(Err(ChannelError::SentAway)));
        };
        Poll::Ready(ready!(pipe.poll_recv(cx)).map(|received| received.and_then(decode)))
    }
}

fn decode<T: Wire>(bytes: Bytes) -> Result<T, ChannelError> {
    codec::decode(&bytes).map_err(ChannelError::Decode)
}

impl<T: Wire> Stream for Receiver<T> {
    type Item = Result<T, ChannelError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_recv(cx)
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// An end as it stands among the arguments.
#[derive(Serialize, Deserialize)]
struct ChannelEndRef {
    /// Its place among the ends of the call.
    index: u32,
    /// The runner's side holds back as many messages as the parent's.
    capacity: u32,
}

impl<T: Wire> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let capacity = self.pipe.capacity();
        let index =
            ends::send_away(|| Ok(ChannelEnd::Recv(InboundMessages::new(self.pipe.clone()))))?;
        ChannelEndRef { index, capacity }.serialize(serializer)
    }
}

impl<T: Wire> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut capacity = 0;
        let index = ends::send_away(|| {
            let pipe = self.take().ok_or_else(|| ser::Error::custom(ChannelError::SentAway))?;
            capacity = pipe.capacity();
            Ok(ChannelEnd::Send(OutboundMessages::new(pipe)))
        })?;
        ChannelEndRef { index, capacity }.serialize(serializer)
    }
}

impl<'de, T: Wire> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ChannelEndRef { index, capacity } = ChannelEndRef::deserialize(deserializer)?;
        let (sender, receiver) = pipe::pipe(capacity as usize);
        ends::claim::<D::Error>(index, ChannelEnd::Send(OutboundMessages::new(receiver)))?;
        Ok(Self::new(sender))
    }
}

impl<'de, T: Wire> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ChannelEndRef { index, capacity } = ChannelEndRef::deserialize(deserializer)?;
        let (sender, receiver) = pipe::pipe(capacity as usize);
        ends::claim::<D::Error>(index, ChannelEnd::Recv(InboundMessages::new(sender)))?;
        Ok(Self::new(receiver))
    }
}
