//! The byte side of channel ends that are given away: the link's driver moves their messages.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use serde::{de, ser};

use super::{
    ChannelError,
    pipe::{PipeReceiver, PipeSender, ReadCounter},
};
use crate::calling::side_tables::SideTables;

/// The byte side of a channel whose other end is across the link.
#[derive(Debug)]
#[must_use = "the other side loses a channel end that is not pumped"]
pub enum ChannelEnd {
    /// This process sends: take messages from here and send them over.
    Send(OutboundMessages),
    /// This process receives: put the messages that arrive in here.
    Recv(InboundMessages),
}

/// Messages on their way out of this process. Dropping it closes the channel: senders get
/// [`ChannelError::Closed`], or the error given to [`OutboundMessages::fail`].
#[derive(Debug)]
pub struct OutboundMessages(PipeReceiver);

impl OutboundMessages {
    pub(super) fn new(pipe: PipeReceiver) -> Self {
        Self(pipe)
    }

    /// The next message to send over. `None` when every sender has been dropped; the other side
    /// must be told that this is the clean end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// The error with which the senders' side failed, once. The other side must be told that the
    /// channel is lost. (A channel may lead through this process, from one link to another.)
    pub async fn recv(&mut self) -> Result<Option<Bytes>, ChannelError> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await.transpose()
    }

    /// As [`recv`](Self::recv), for a driver that polls.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ChannelError>>> {
        self.0.poll_recv(cx)
    }

    /// Accepts no more messages. Accepted messages can still be received here. Senders get
    /// [`ChannelError::Closed`].
    pub fn close(&mut self) {
        self.0.close();
    }

    /// Whether there are senders. Then the end after [`close`](Self::close) is not the clean end.
    #[must_use]
    pub fn has_senders(&self) -> bool {
        self.0.has_senders()
    }

    /// The most messages that wait on each side.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.0.capacity()
    }

    /// Ends the channel with an error, which senders in this process get from now on.
    pub fn fail(self, error: ChannelError) {
        self.0.fail(error);
    }
}

/// Messages on their way into this process. Dropping it without [`InboundMessages::finish`] tells
/// the receiver that the channel was lost: only the senders can end it cleanly.
#[derive(Debug)]
pub struct InboundMessages {
    pipe: PipeSender,
    read_counter: Arc<ReadCounter>,
    ended: bool,
}

impl InboundMessages {
    pub(super) fn new(pipe: PipeSender) -> Self {
        let read_counter = ReadCounter::new(pipe.capacity());
        Self { pipe, read_counter, ended: false }
    }

    /// Adds a message; waits while the receiver is `capacity` messages behind.
    ///
    /// Cancel safe: the message is added as a whole or not at all.
    ///
    /// # Errors
    /// If the receiver accepts no more messages: the senders on the other side must be told.
    pub async fn send(&self, message: Bytes) -> Result<(), ChannelError> {
        self.pipe.send(message, Some(self.read_counter.clone())).await
    }

    /// Waits until the receiver has read messages worth half of the capacity, and returns their
    /// number. Each message is counted once: the other side may send as many more. Cancel safe.
    pub async fn read(&self) -> u32 {
        self.read_counter.next().await
    }

    /// The most messages that wait on each side.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.pipe.capacity()
    }

    /// Waits until the receiver accepts no more messages. Cancel safe.
    pub async fn closed(&self) {
        self.pipe.closed().await;
    }

    /// The clean end: every sender on the other side has been dropped.
    pub fn finish(mut self) {
        self.ended = true;
    }

    /// Ends the channel with an error, which the receiver gets after the last message.
    pub fn fail(mut self, error: ChannelError) {
        self.ended = true;
        self.pipe.fail(error);
    }
}

impl Drop for InboundMessages {
    fn drop(&mut self) {
        if !self.ended {
            self.pipe.fail(ChannelError::Lost { reason: "the link was dropped".to_owned() });
        }
    }
}

/// The channel ends of one value.
#[derive(Debug, Default)]
pub(crate) enum ChannelTable {
    /// The value is not a call's arguments, so it can't contain a channel end.
    #[default]
    None,
    /// Arguments are being encoded: the byte sides so far.
    Out(Vec<ChannelEnd>),
    /// Arguments are being decoded: one slot for each end that the call declares.
    In(Vec<Option<ChannelEnd>>),
}

impl ChannelTable {
    /// Slots for the ends that an arriving call declares.
    pub(crate) fn expect(declared: usize) -> Self {
        Self::In(std::iter::repeat_with(|| None).take(declared).collect())
    }

    /// The byte sides that were collected.
    pub(crate) fn into_collected(self) -> Vec<ChannelEnd> {
        match self {
            Self::Out(ends) => ends,
            Self::None | Self::In(_) => Vec::new(),
        }
    }

    /// The slots, with the ends that were claimed.
    pub(crate) fn into_slots(self) -> Vec<Option<ChannelEnd>> {
        match self {
            Self::In(slots) => slots,
            Self::None | Self::Out(_) => Vec::new(),
        }
    }
}

const NOT_IN_A_CALL: &str = "a channel end can be sent only as an argument of a remote function, \
                             not in a result or in a message of another channel";

/// Adds `end` to the channel ends of the call that is being encoded.
pub(super) fn send_away<E: ser::Error>(
    end: impl FnOnce() -> Result<ChannelEnd, E>,
) -> Result<u32, E> {
    let index = SideTables::with(|tables| match &mut tables.channel_ends {
        ChannelTable::Out(ends) => {
            ends.push(end()?);
            u32::try_from(ends.len() - 1).map_err(|_| E::custom("too many channel ends"))
        }
        _ => Err(E::custom(NOT_IN_A_CALL)),
    });
    index.unwrap_or_else(|| Err(E::custom(NOT_IN_A_CALL)))
}

/// Claims one of the channel ends that the call being decoded declares.
pub(super) fn claim<E: de::Error>(index: u32, end: ChannelEnd) -> Result<(), E> {
    let claimed = SideTables::with(|tables| match &mut tables.channel_ends {
        ChannelTable::In(slots) => {
            let slot = usize::try_from(index).ok().and_then(|index| slots.get_mut(index));
            match slot {
                Some(slot @ None) => {
                    *slot = Some(end);
                    Ok(())
                }
                Some(Some(_)) => Err(E::custom("two arguments name the same channel end")),
                None => Err(E::custom("the call declares no such channel end")),
            }
        }
        _ => Err(E::custom(NOT_IN_A_CALL)),
    });
    claimed.unwrap_or_else(|| Err(E::custom(NOT_IN_A_CALL)))
}
