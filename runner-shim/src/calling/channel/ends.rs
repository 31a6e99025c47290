//! The byte side of the ends that cross: what the driver of the link moves.

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
#[must_use = "a channel end that nobody pumps is lost to the other side"]
pub enum ChannelEnd {
    /// Messages come from this process: take them from the outlet and send them over.
    Send(OutboundMessages),
    /// Messages come from across: put them into the inlet.
    Recv(InboundMessages),
}

/// Where messages leave this process. Dropping it closes the channel: senders get
/// [`ChannelError::Closed`], or what [`OutboundMessages::fail`] said.
#[derive(Debug)]
pub struct OutboundMessages(PipeReceiver);

impl OutboundMessages {
    pub(super) fn new(pipe: PipeReceiver) -> Self {
        Self(pipe)
    }

    /// The next message to send over; `None` when every sender has been dropped, which the other
    /// side must be told as the clean end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// What the senders' side failed with, once; the other side must be told that the channel is
    /// lost. (A channel may pass through this process, from one link to another.)
    pub async fn recv(&mut self) -> Result<Option<Bytes>, ChannelError> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await.transpose()
    }

    /// As [`recv`](Self::recv), for a driver that is polled.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ChannelError>>> {
        self.0.poll_recv(cx)
    }

    /// Accepts no more messages; those that were accepted still come. Senders get
    /// [`ChannelError::Closed`].
    pub fn close(&mut self) {
        self.0.close();
    }

    /// Whether there are senders: then the end after [`close`](Self::close) is not theirs, and must
    /// not look like it.
    #[must_use]
    pub fn has_senders(&self) -> bool {
        self.0.has_senders()
    }

    /// The most messages that wait on each side.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.0.capacity()
    }

    /// Ends the channel with an error: senders in this process get it from now on.
    pub fn fail(self, error: ChannelError) {
        self.0.fail(error);
    }
}

/// Where messages enter this process. Dropping it without [`InboundMessages::finish`] tells the receiver
/// that the channel was lost: only the sender's own end looks like the end.
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

    /// Puts in a message; waits while the receiver is `capacity` messages behind.
    ///
    /// Cancel safe: the message is put in whole or not at all.
    ///
    /// # Errors
    /// When the receiver takes no more: the other side's senders must be told so.
    pub async fn send(&self, message: Bytes) -> Result<(), ChannelError> {
        self.pipe.send(message, Some(self.read_counter.clone())).await
    }

    /// Waits until the receiver has read half of the capacity of what was put in here, and gives the
    /// number of messages that it has read. Each is counted once: the other side may send as many
    /// more. Cancel safe.
    pub async fn read(&self) -> u32 {
        self.read_counter.next().await
    }

    /// The most messages that wait on each side.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.pipe.capacity()
    }

    /// Waits until the receiver takes no more. Cancel safe.
    pub async fn closed(&self) {
        self.pipe.closed().await;
    }

    /// The clean end: every sender across has been dropped.
    pub fn finish(mut self) {
        self.ended = true;
    }

    /// Ends the channel with an error, which the receiver gets behind the last message.
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

/// The channel ends of one crossing.
#[derive(Debug, Default)]
pub(crate) enum ChannelTable {
    /// Not arguments: no end can cross.
    #[default]
    None,
    /// Arguments being encoded: the byte sides so far.
    Out(Vec<ChannelEnd>),
    /// Arguments being decoded: one slot for each end that the call declares.
    In(Vec<Option<ChannelEnd>>),
}

impl ChannelTable {
    /// Slots for the `declared` ends of a call that arrives.
    pub(crate) fn expect(declared: usize) -> Self {
        Self::In(std::iter::repeat_with(|| None).take(declared).collect())
    }

    /// The byte sides collected.
    pub(crate) fn into_collected(self) -> Vec<ChannelEnd> {
        match self {
            Self::Out(ends) => ends,
            Self::None | Self::In(_) => Vec::new(),
        }
    }

    /// The slots, with what was claimed.
    pub(crate) fn into_slots(self) -> Vec<Option<ChannelEnd>> {
        match self {
            Self::In(slots) => slots,
            Self::None | Self::Out(_) => Vec::new(),
        }
    }
}

const NOT_IN_A_CALL: &str = "a channel end crosses only as an argument of a remote function: not \
                            in a result, nor in a message of another channel";

/// Adds what `end` gives to the ends of the call being encoded.
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

/// Claims a place among the ends that the call being decoded declares.
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
