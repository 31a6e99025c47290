//! Joins a channel end to its stream of the link, on either side.
//!
//! A message is an ITEM, the clean end a DONE; a reset means that the other side is lost, or
//! wants no more. Each pump is a task that ends with its channel or its link, whichever is first.

use flame_link::{Stream, StreamError};
use flame_wire::message::Tag;

use crate::calling::channel::{Inlet, Outlet};
use crate::calling::{ChannelEnd, ChannelError};

/// Moves messages until the channel has ended on either side.
pub async fn pump(end: ChannelEnd, stream: Stream) {
    match end {
        ChannelEnd::Send(outlet) => send(outlet, stream).await,
        ChannelEnd::Recv(inlet) => receive(inlet, stream).await,
    }
}

async fn send(mut outlet: Outlet, stream: Stream) {
    loop {
        if let Err(error) = stream.room().await {
            return refuse(outlet, error);
        }
        let message = tokio::select! {
            message = outlet.recv() => message,
            () = stream.reset_by_peer() => continue,
        };
        let sent = match message {
            Ok(Some(message)) => stream.send_now(Tag::Item.into(), message.into(), false),
            Ok(None) => {
                let _ = stream.send_now(Tag::Done.into(), bytes::Bytes::new().into(), true);
                return stream.detach();
            }
            // Dropping the stream tells the other side that the channel is lost.
            Err(_) => return,
        };
        if let Err(error) = sent {
            return refuse(outlet, error);
        }
    }
}

/// A receiver that is gone on purpose just closes the channel; all else is a loss.
fn refuse(outlet: Outlet, error: StreamError) {
    if !matches!(error, StreamError::Reset) {
        outlet.fail(ChannelError::Lost { reason: error.to_string() });
    }
}

async fn receive(inlet: Inlet, mut stream: Stream) {
    loop {
        let message = tokio::select! {
            message = stream.receive() => message,
            () = inlet.closed() => return,
        };
        match message {
            Ok(Some(message)) if message.tag == u8::from(Tag::Item) => {
                if inlet.send(message.body).await.is_err() {
                    return;
                }
            }
            Ok(Some(message)) if message.tag == u8::from(Tag::Done) => {
                inlet.finish();
                return stream.detach();
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
