//! Joins a channel end to its stream of the link, on either side.
//!
//! ITEM carries a message, and DONE the clean end. FAILED means that messages may be missing. A
//! reset means that the other side is lost, or wants no more messages. Each pump is a task that
//! ends with its channel or its link, whichever ends first.
//!
//! Both sides limit the stream to the channel's capacity. A message counts against that limit from
//! the moment it leaves the sender's queue until the app at the other end has read it. So at most
//! `capacity` messages wait on each side, those on the link included.

use bytes::Bytes;
use flame_link::{Stream, StreamError};
use flame_wire::failure::CallFailure;
use flame_wire::message::Tag;

use crate::calling::channel::{InboundMessages, OutboundMessages};
use crate::calling::{ChannelEnd, ChannelError};
use crate::runner::channel_drain::{ChannelDrainStage, DrainHandle};

const CUT_OFF: &str = "its runner ended before the channel was drained; messages may be missing";

/// Moves messages until the channel has ended on either side.
pub async fn pump(end: ChannelEnd, stream: Stream) {
    pump_draining(end, stream, DrainHandle::NONE).await;
}

/// Like [`pump`], on a runner, which delivers accepted messages before it ends.
pub(crate) async fn pump_draining(end: ChannelEnd, stream: Stream, drain: DrainHandle) {
    match end {
        ChannelEnd::Send(outbound) => send(outbound, stream, drain).await,
        ChannelEnd::Recv(inbound) => {
            drop(drain);
            receive(inbound, stream).await;
        }
    }
}

async fn send(mut outbound: OutboundMessages, stream: Stream, mut drain: DrainHandle) {
    stream.set_message_limit(outbound.capacity());
    let mut stage = ChannelDrainStage::Open;
    loop {
        let next = async {
            stream.writable().await?;
            tokio::select! {
                message = outbound.recv() => Ok(Some(message)),
                // The next call of `room` returns the reason.
                () = stream.reset_by_peer() => Ok(None),
            }
        };
        let next = tokio::select! {
            biased;
            now = drain.wait_past(stage) => {
                if now == ChannelDrainStage::Aborted {
                    return abort(outbound, &stream);
                }
                outbound.close();
                stage = now;
                continue;
            }
            next = next => next,
        };
        let sent = match next {
            Ok(Some(Ok(Some(message)))) => stream.send_now(Tag::Item.into(), message.into(), false),
            Ok(Some(Ok(None))) => break,
            // Dropping the stream tells the other side that the channel is lost.
            Ok(Some(Err(_))) => return,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            return close_senders(outbound, error);
        }
    }
    let covered = tokio::select! {
        biased;
        _ = drain.wait_past(ChannelDrainStage::Draining) => return abort(outbound, &stream),
        covered = stream.within_credit() => covered,
    };
    // The end is clean only if every sender was dropped.
    let last =
        if outbound.has_senders() { cut_off_message() } else { Some((Tag::Done, Bytes::new())) };
    if let (Ok(()), Some((tag, body))) = (covered, last)
        && stream.send_now(tag.into(), body.into(), true).is_ok()
    {
        stream.detach();
    }
}

/// The last message of a channel that ends while it still has senders.
fn cut_off_message() -> Option<(Tag, Bytes)> {
    CallFailure::Cancelled.encode().ok().map(|body| (Tag::Failed, body))
}

/// Out of time: the receiver gets an error in place of the messages that are not delivered.
fn abort(outbound: OutboundMessages, stream: &Stream) {
    outbound.fail(ChannelError::Lost { reason: CUT_OFF.to_owned() });
    if let Some((tag, body)) = cut_off_message()
        && stream.conclude(tag.into(), body.into()).is_ok()
    {
        stream.keep_on_drop();
    }
}

/// A receiver that was dropped or closed closes the channel; any other error is a loss.
fn close_senders(outbound: OutboundMessages, error: StreamError) {
    if !matches!(error, StreamError::Reset) {
        outbound.fail(ChannelError::Lost { reason: error.to_string() });
    }
}

async fn receive(inbound: InboundMessages, mut stream: Stream) {
    stream.set_message_limit(inbound.capacity());
    stream.mark_read_manually();
    loop {
        let message = tokio::select! {
            message = stream.receive() => message,
            read = inbound.read() => {
                stream.mark_read(read);
                continue;
            }
            () = inbound.closed() => return,
        };
        match message {
            Ok(Some(message)) if message.tag == u8::from(Tag::Item) => {
                if inbound.send(message.body).await.is_err() {
                    return;
                }
            }
            // Dropping the stream ends its other direction, which carries no messages.
            Ok(Some(message)) if message.tag == u8::from(Tag::Done) => return inbound.finish(),
            Ok(Some(message)) if message.tag == u8::from(Tag::Failed) => {
                return fail_receiver(inbound, CUT_OFF);
            }
            Ok(_) => return fail_receiver(inbound, "the other side sent an unexpected message"),
            Err(StreamError::Reset) => {
                return fail_receiver(inbound, "the work with the other end is gone");
            }
            Err(error) => return fail_receiver(inbound, &error.to_string()),
        }
    }
}

fn fail_receiver(inbound: InboundMessages, reason: &str) {
    inbound.fail(ChannelError::Lost { reason: reason.to_owned() });
}

#[cfg(test)]
mod tests;
