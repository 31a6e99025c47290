//! Typed channels. Either end may be an argument of remote work.
//!
//! ```text
//!   parent                                        runner
//!   let (jobs, rx) = channel(8);
//!   pool.place_child(worker(rx, done))            async fn worker(jobs: Receiver<Job>, ..)
//!   jobs.send(job)                                jobs.recv()
//!     | Bytes, at most 8 waiting                    ^ Bytes, at most 8 waiting, here or on the link
//!     v                                             |
//!   ChannelEnd::Send == pump == link == pump == ChannelEnd::Recv
//! ```
//!
//! Work is encoded before it is known which runner will serve it. So an end among the arguments
//! leaves only its index there, and its byte side in
//! [`EncodedWork::channel_ends`](super::work::EncodedWork::channel_ends). Decoding on the runner
//! makes a new channel for each index, and leaves its byte side in
//! [`PreparedCall::channel_ends`](super::invoke::PreparedCall::channel_ends), in the same order.
//! The driver of the link joins each pair by a stream. It knows neither the message type nor which
//! side it is on.
//!
//! Invariants:
//! - At most `capacity` messages wait on each side of the link; then `send` waits. Messages on the
//!   link count on the receiver's side: [`pump`](crate::pump) sends no more until some have been
//!   read.
//! - The messages end without an error only when every sender has been dropped. A message that does
//!   not decode, or a lost link, is an error.

mod ends;
mod error;
mod pipe;

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flame_wire::sync::Mutex;
use futures_core::Stream;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

pub(crate) use ends::ChannelTable;
pub use ends::{ChannelEnd, InboundMessages, OutboundMessages};
pub use error::ChannelError;

use super::codec::{self, Wire};
use pipe::{PipeReceiver, PipeSender};

/// A channel for messages of type `T`, of which at most `capacity` wait (1 to 65,536).
///
/// Either end, or both, may be an argument of remote work. The other end stays here and is
/// connected to it for as long as the work runs. Messages are encoded even if both ends stay in one
/// process.
///
/// Across a link at most `capacity` messages wait on each side, so a sender is at most twice
/// `capacity` messages ahead of a receiver that does not read. Messages on their way count on the
/// receiver's side. If there are several senders on runners, each has a `capacity` of its own. The
/// receiver's side reports read messages in steps of half of the capacity, so at most `capacity`
/// messages cross in one round trip: use a capacity of some hundreds for many small messages over a
/// long distance.
///
/// **Messages that `send` has accepted are delivered** before a runner ends by its own decision
/// (single use, idle, lifetime, drain, SIGTERM), even if the function has returned. The runner
/// waits for a slow receiver for one shutdown window, `shutdown_timeout`, but at least 5 s.
/// Messages that are not read by then are lost, and the receiver gets [`ChannelError::Lost`] in
/// their place. `None` always means that all messages were delivered.
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

/// The sending end of a [`channel()`].
///
/// Clones share the channel, which ends when the last clone is dropped. A sender given as an
/// argument to remote work is a clone as well: drop your own sender if the work should end the
/// channel.
pub struct Sender<T> {
    pipe: PipeSender,
    message: PhantomData<fn(T)>,
}

impl<T> Sender<T> {
    fn new(pipe: PipeSender) -> Self {
        Self { pipe, message: PhantomData }
    }

    /// Whether the receiver accepts no more messages.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.pipe.is_closed()
    }

    /// Waits until the receiver accepts no more messages.
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        self.pipe.closed().await;
    }
}

impl<T: Wire> Sender<T> {
    /// Sends `message`; waits while the channel is full.
    ///
    /// Cancel safe: the message is sent as a whole or not at all, and it is not sent if the future
    /// is dropped before it is ready.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] if the receiver accepts no more messages, [`ChannelError::Lost`] if
    /// the link to the receiver was lost, [`ChannelError::Encode`] if the message does not encode.
    pub fn send(&self, message: T) -> impl Future<Output = Result<(), ChannelError>> + Send {
        // Encoded at once, so that the future does not contain the message.
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

/// The receiving end of a [`channel()`]. It is also a [`Stream`] of `Result<T, ChannelError>`.
pub struct Receiver<T> {
    /// `None` once it was given away as an argument. Behind a lock because `serialize` takes
    /// `&self`.
    pipe: Mutex<Option<PipeReceiver>>,
    message: PhantomData<fn() -> T>,
}

impl<T> Receiver<T> {
    fn new(pipe: PipeReceiver) -> Self {
        Self { pipe: Mutex::new(Some(pipe)), message: PhantomData }
    }

    /// Stops accepting messages. Messages that were already accepted can still be received.
    pub fn close(&mut self) {
        if let Some(pipe) = self.pipe() {
            pipe.close();
        }
    }

    fn pipe(&mut self) -> Option<&mut PipeReceiver> {
        self.pipe.get_mut().as_mut()
    }

    fn take(&self) -> Option<PipeReceiver> {
        self.pipe.lock().take()
    }
}

impl<T: Wire> Receiver<T> {
    /// The next message; `None` when every sender has been dropped and all messages were received.
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

/// A channel end among the arguments.
#[derive(Serialize, Deserialize)]
struct ChannelEndRef {
    /// Its index among the channel ends of the call.
    index: u32,
    /// Applies to both sides.
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
