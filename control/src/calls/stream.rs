//! Calls whose results come one after the other.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flame_runner_shim::calling::{HeldGuard, ReplyDecoder};
use flame_wire::message::{MAX_AHEAD, Tag};
use futures_core::Stream;
use futures_util::stream::{self, BoxStream};

use super::handle::CallHandle;
use super::in_flight::{InFlightCall, value};
use super::outgoing::OutgoingCall;
use crate::StreamWork;
use crate::error::CallError;
use crate::log::Logs;
use crate::pool::Pool;

/// The items of a remote stream. It ends after an error. Dropping it cancels the function.
#[must_use = "a stream does nothing until it is polled"]
pub struct CallStream<T> {
    items: BoxStream<'static, Result<T, CallError>>,
    handle: CallHandle,
}

impl<T> CallStream<T> {
    /// What the function logs and prints from now on: like [`Call::logs`](crate::Call::logs).
    pub fn logs(&self) -> Logs {
        self.handle.logs()
    }
}

impl<T> fmt::Debug for CallStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.handle.info.function();
        f.debug_struct("CallStream").field("function", &function).finish_non_exhaustive()
    }
}

impl<T> Stream for CallStream<T> {
    type Item = Result<T, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(cx)
    }
}

impl Pool {
    /// Runs a function that returns a stream. The runner produces items as they are taken: it is
    /// ahead by at most 256 items, and by at most 512 KiB plus one item. The deadline covers the
    /// whole stream, including the time that the caller takes to process the items. Give a long
    /// stream more time by [`StreamWork::timeout`].
    ///
    /// The arguments are encoded now. The function is called, and its time starts, when the stream
    /// is first polled.
    ///
    /// ```no_run
    /// # use flame_aws::{Pool, remote};
    /// use futures_util::{Stream, StreamExt, stream};
    ///
    /// #[remote]
    /// fn count(to: u32) -> impl Stream<Item = u32> {
    ///     stream::iter(0..to)
    /// }
    ///
    /// # async fn example(pool: Pool) -> Result<(), flame_aws::CallError> {
    /// let mut items = pool.stream(count(3));
    /// while let Some(item) = items.next().await {
    ///     println!("{}", item?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<T: Send + 'static>(&self, work: StreamWork<'_, T>) -> CallStream<T> {
        stream(self, work, None)
    }
}

/// Calls the function, on the runner that holds a value if there is one.
pub(super) fn stream<T: Send + 'static>(
    pool: &Pool,
    work: StreamWork<'_, T>,
    held: Option<Arc<dyn HeldGuard>>,
) -> CallStream<T> {
    let handle = CallHandle::new(pool.inner(), work.name(), work.options().trace);
    let state = match work.encode() {
        Ok((encoded, decoder)) => {
            CallStreamState::Unsent(OutgoingCall::new(handle.clone(), encoded, held), decoder)
        }
        Err(error) => CallStreamState::Failed(CallError::arguments(error)),
    };
    let items = Box::pin(stream::unfold(state, async |state| next(state).await));
    CallStream { items, handle }
}

enum CallStreamState<T> {
    Unsent(Box<OutgoingCall>, ReplyDecoder<T>),
    Receiving(Box<ItemReceiver<T>>),
    Failed(CallError),
    Ended,
}

async fn next<T>(state: CallStreamState<T>) -> Option<(Result<T, CallError>, CallStreamState<T>)> {
    let mut items = match state {
        CallStreamState::Unsent(call, decoder) => match call.timed_from_now().send().await {
            Ok(call) => {
                call.stream.set_message_limit(MAX_AHEAD);
                Box::new(ItemReceiver { call, decoder, reply_span: None })
            }
            Err(error) => return Some((Err(error), CallStreamState::Ended)),
        },
        CallStreamState::Receiving(items) => items,
        CallStreamState::Failed(error) => return Some((Err(error), CallStreamState::Ended)),
        CallStreamState::Ended => return None,
    };
    let item = items.next().await.transpose()?;
    let state =
        if item.is_ok() { CallStreamState::Receiving(items) } else { CallStreamState::Ended };
    Some((item, state))
}

struct ItemReceiver<T> {
    call: InFlightCall,
    decoder: ReplyDecoder<T>,
    /// The span in which items are decoded, from the first one on.
    reply_span: Option<tracing::Span>,
}

impl<T> ItemReceiver<T> {
    async fn next(&mut self) -> Result<Option<T>, CallError> {
        let Self { call, decoder, reply_span } = self;
        call.check_deadline()?;
        let message = call.receive().await?;
        if message.tag == u8::from(Tag::Done) {
            call.succeeded();
            return Ok(None);
        }
        if message.tag != u8::from(Tag::Item) {
            let error = call.protocol_error("it sent something other than an item of a stream");
            return call.record.note_error(Err(error));
        }
        let item = reply_span.get_or_insert_with(|| call.reply_span(None)).in_scope(|| {
            let item = decoder.decode(value(message.body)?, None);
            item.map(Some).map_err(|error| CallError::result(&error))
        });
        call.record.note_error(item)
    }
}
