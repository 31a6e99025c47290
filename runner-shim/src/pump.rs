//! Joins a channel end to its stream of the link, on either side.
//!
//! A message is an ITEM, the clean end a DONE. A FAILED in its place says that messages may be
//! missing. A reset means that the other side is lost, or wants no more. Each pump is a task that
//! ends with its channel or its link, whichever is first.
//!
//! Both sides limit the stream to the channel's capacity. A message counts against it from the
//! moment it leaves the sender's queue until the app has read it at the other end, so that at most
//! `capacity` messages wait on each side, those on the link included.

use bytes::Bytes;
use flame_link::{Stream, StreamError};
use flame_wire::failure::CallFailure;
use flame_wire::message::Tag;

use crate::calling::channel::{Inlet, Outlet};
use crate::calling::{ChannelEnd, ChannelError};
use crate::tails::{Stage, Tail};

const CUT_OFF: &str = "its runner ended before the channel did; messages may be missing";

/// Moves messages until the channel has ended on either side.
pub async fn pump(end: ChannelEnd, stream: Stream) {
    pump_tail(end, stream, Tail::NONE).await;
}

/// As [`pump`], on a runner, which delivers what its channels have accepted before it leaves.
pub(crate) async fn pump_tail(end: ChannelEnd, stream: Stream, tail: Tail) {
    match end {
        ChannelEnd::Send(outlet) => send(outlet, stream, tail).await,
        ChannelEnd::Recv(inlet) => {
            drop(tail);
            receive(inlet, stream).await;
        }
    }
}

async fn send(mut outlet: Outlet, stream: Stream, mut tail: Tail) {
    stream.set_message_limit(outlet.capacity());
    let mut stage = Stage::Open;
    loop {
        let next = async {
            stream.writable().await?;
            tokio::select! {
                message = outlet.recv() => Ok(Some(message)),
                // Asking for room again gives the reason.
                () = stream.reset_by_peer() => Ok(None),
            }
        };
        let next = tokio::select! {
            biased;
            now = tail.after(stage) => {
                if now == Stage::Cut {
                    return cut(outlet, &stream);
                }
                outlet.close();
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
            return refuse(outlet, error);
        }
    }
    let covered = tokio::select! {
        biased;
        _ = tail.after(Stage::Closing) => return cut(outlet, &stream),
        covered = stream.within_credit() => covered,
    };
    // The end is clean only if the senders meant it.
    let last = if outlet.has_senders() { cut_off() } else { Some((Tag::Done, Bytes::new())) };
    if let (Ok(()), Some((tag, body))) = (covered, last)
        && stream.send_now(tag.into(), body.into(), true).is_ok()
    {
        stream.detach();
    }
}

/// The last message of a channel that ends before its senders did.
fn cut_off() -> Option<(Tag, Bytes)> {
    CallFailure::Cancelled.encode().ok().map(|body| (Tag::Failed, body))
}

/// Tells the receiver, in place of what is not delivered, that there is no time left for it.
fn cut(outlet: Outlet, stream: &Stream) {
    outlet.fail(ChannelError::Lost { reason: CUT_OFF.to_owned() });
    if let Some((tag, body)) = cut_off()
        && stream.conclude(tag.into(), body.into()).is_ok()
    {
        stream.keep_on_drop();
    }
}

/// A receiver that is gone on purpose just closes the channel; all else is a loss.
fn refuse(outlet: Outlet, error: StreamError) {
    if !matches!(error, StreamError::Reset) {
        outlet.fail(ChannelError::Lost { reason: error.to_string() });
    }
}

async fn receive(inlet: Inlet, mut stream: Stream) {
    stream.set_message_limit(inlet.capacity());
    stream.mark_read_manually();
    loop {
        let message = tokio::select! {
            message = stream.receive() => message,
            read = inlet.read() => {
                stream.mark_read(read);
                continue;
            }
            () = inlet.closed() => return,
        };
        match message {
            Ok(Some(message)) if message.tag == u8::from(Tag::Item) => {
                if inlet.send(message.body).await.is_err() {
                    return;
                }
            }
            // Dropping the stream ends its other direction, which carries nothing.
            Ok(Some(message)) if message.tag == u8::from(Tag::Done) => return inlet.finish(),
            Ok(Some(message)) if message.tag == u8::from(Tag::Failed) => {
                return lose(inlet, CUT_OFF);
            }
            Ok(_) => return lose(inlet, "the other side broke the protocol"),
            Err(StreamError::Reset) => {
                return lose(inlet, "the work that had the other end is gone");
            }
            Err(error) => return lose(inlet, &error.to_string()),
        }
    }
}

fn lose(inlet: Inlet, reason: &str) {
    inlet.fail(ChannelError::Lost { reason: reason.to_owned() });
}

#[cfg(test)]
mod tests;
