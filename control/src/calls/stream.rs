//! Results that come one after the other.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flame_runner_shim::calling::{HeldGuard, ReplyDecoder};
use flame_wire::message::{MAX_AHEAD, Tag};
use futures_core::Stream;
use futures_util::stream::{self, BoxStream};

use super::call::value;
use super::order::{Order, Sent};
use crate::StreamWork;
use crate::error::CallError;
use crate::pool::Pool;

/// The items of a remote stream. After an error it ends. Dropping it cancels the function.
#[must_use = "a stream does nothing until it is polled"]
pub struct CallStream<T>(BoxStream<'static, Result<T, CallError>>);

impl<T> fmt::Debug for CallStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStream").finish_non_exhaustive()
    }
}

impl<T> Stream for CallStream<T> {
    type Item = Result<T, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl Pool {
    /// Runs a function that gives a stream. The runner makes items as they are taken: it is at
    /// most 256 items ahead, and no more than 512 KiB and one item. The deadline covers the whole
    /// stream, the time that its items take here included; give a long one more by
    /// [`StreamWork::timeout`].
    ///
    /// The function is called when the stream is polled first, and its time starts then; its
    /// arguments are encoded now.
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

enum State<T> {
    Ordered(Order, ReplyDecoder<T>),
    Running(Box<Running<T>>),
    Failed(CallError),
    Over,
}

struct Running<T> {
    sent: Sent,
    reply: ReplyDecoder<T>,
    /// The span in which items are read, from the first one on.
    reading: Option<tracing::Span>,
}

pub(super) fn stream<T: Send + 'static>(
    pool: &Pool,
    work: StreamWork<'_, T>,
    at: Option<Arc<dyn HeldGuard>>,
) -> CallStream<T> {
    let shared = pool.shared();
    let state = match work.encode() {
        Ok((encoded, reply)) => {
            let order = Order::new(shared, Ok(encoded), shared.config.timeout);
            State::Ordered(order.at(at), reply)
        }
        Err(error) => State::Failed(error.into()),
    };
    CallStream(Box::pin(stream::unfold(state, async |state| next(state).await)))
}

async fn next<T>(state: State<T>) -> Option<(Result<T, CallError>, State<T>)> {
    let mut running = match state {
        State::Ordered(order, reply) => match order.timed_from_now().send().await {
            Ok(sent) => {
                sent.stream.limit(MAX_AHEAD);
                Box::new(Running { sent, reply, reading: None })
            }
            Err(error) => return Some((Err(error), State::Over)),
        },
        State::Running(running) => running,
        State::Failed(error) => return Some((Err(error), State::Over)),
        State::Over => return None,
    };
    let item = running.item().await.transpose()?;
    let state = if item.is_ok() { State::Running(running) } else { State::Over };
    Some((item, state))
}

impl<T> Running<T> {
    async fn item(&mut self) -> Result<Option<T>, CallError> {
        let Self { sent, reply, reading } = self;
        sent.check_deadline()?;
        let message = sent.receive().await?;
        if message.tag == u8::from(Tag::Done) {
            sent.succeeded();
            return Ok(None);
        }
        if message.tag != u8::from(Tag::Item) {
            return Err(sent.protocol("it sent something else than an item"));
        }
        reading
            .get_or_insert_with(|| sent.reply(None))
            .in_scope(|| Ok(Some(reply.decode(value(message.body)?, None)?)))
    }
}
