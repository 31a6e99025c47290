//! Calls that are waited for, and calls that are only handed over.

use bytes::Bytes;
use std::sync::Arc;

use flame_runner_shim::calling::{HeldGuard, ReplyDecoder};
use flame_wire::body::Value;
use flame_wire::message::Tag;
use flame_wire::mux::Message;

use super::held::HeldStream;
use super::order::{Order, Sent, linger};
use crate::Work;
use crate::error::CallError;
use crate::pool::Pool;

impl Pool {
    /// Runs the function in a copy of the app and gives its result.
    ///
    /// The arguments are encoded at once, so the future borrows nothing and can be spawned. The
    /// call has one deadline, from this moment: it covers queue, boot, run and reply. Dropping the
    /// future cancels the call, on the runner, too, unless the work is
    /// [`detached`](Work::detached). Nothing is ever run twice.
    ///
    /// # Errors
    /// [`CallError`]. What the function itself returns, a `Result` included, is the `T`.
    ///
    /// ```no_run
    /// # use flame_aws::{Pool, remote};
    /// #[remote]
    /// fn double(n: u32) -> u32 {
    ///     n * 2
    /// }
    ///
    /// # async fn example(pool: Pool) -> Result<(), flame_aws::CallError> {
    /// assert_eq!(pool.call(double(21)).await?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<T: Send + 'static>(
        &self,
        work: Work<'_, T>,
    ) -> impl Future<Output = Result<T, CallError>> + Send + 'static + use<T> {
        call(self, work, None)
    }

    /// As [`call`](Self::call), for a function that returns a `Result` whose error can also say
    /// what went wrong with the call: the types stay those of the local call.
    ///
    /// # Errors
    /// The function's own, or a [`CallError`] made into it.
    ///
    /// ```no_run
    /// # use flame_aws::{Pool, remote};
    /// #[remote]
    /// async fn parse(text: String) -> anyhow::Result<i64> {
    ///     Ok(text.trim().parse()?)
    /// }
    ///
    /// # async fn example(pool: Pool) -> anyhow::Result<()> {
    /// let here = parse("1".to_owned()).await?;
    /// let there = pool.try_call(parse("1".to_owned())).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_call<T: Send + 'static, E: From<CallError> + Send + 'static>(
        &self,
        work: Work<'_, Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> + Send + 'static + use<T, E> {
        let call = self.call(work);
        async move { call.await? }
    }

    /// Hands the call over: returns as soon as a runner has accepted it. Its result, or its panic,
    /// is dropped. The pool's timeout bounds the handing over; the function itself has only the
    /// deadline that [`Work::timeout`] gives it.
    ///
    /// Dropping the future before it is done may leave the call running or not; afterwards the
    /// call runs on whatever becomes of the caller.
    ///
    /// # Errors
    /// [`CallError`]: no runner has accepted it.
    pub fn cast<T: Send + 'static>(
        &self,
        work: Work<'_, T>,
    ) -> impl Future<Output = Result<(), CallError>> + Send + 'static + use<T> {
        let order = match work.encode() {
            Ok((encoded, _)) => {
                Order::new(self.shared(), Ok(encoded), self.shared().config.timeout)
            }
            Err(error) => Order::new(self.shared(), Err(error), None),
        };
        let order = order.with_ack().without_pool_budget();
        async move {
            let mut sent = order.send().await?;
            accepted(&mut sent).await?;
            sent.succeeded();
            linger(&sent.stream);
            Ok(())
        }
    }
}

pub(super) fn call<T: Send + 'static>(
    pool: &Pool,
    work: Work<'_, T>,
    at: Option<Arc<dyn HeldGuard>>,
) -> impl Future<Output = Result<T, CallError>> + Send + 'static + use<T> {
    let shared = pool.shared();
    let (encoded, reply) = match work.encode() {
        Ok((encoded, reply)) => (Ok(encoded), Ok(reply)),
        Err(error) => (Err(error.clone()), Err(error)),
    };
    let order = Order::new(shared, encoded, shared.config.timeout).at(at);
    async move {
        let sent = order.send().await?;
        // Boxed, since a call that waits for its slot would hold the room for this, too.
        Box::pin(async move {
            let mut sent = sent;
            let message = result(&mut sent).await?;
            decode(sent, message, reply?)
        })
        .await
    }
}

/// Waits until the runner has taken the call.
pub(super) async fn accepted(sent: &mut Sent) -> Result<(), CallError> {
    let message = sent.receive().await?;
    if message.tag == u8::from(Tag::Accepted) {
        Ok(())
    } else {
        Err(sent.protocol("it answered before it accepted the call"))
    }
}

/// Waits for the one result.
pub(super) async fn result(sent: &mut Sent) -> Result<Message, CallError> {
    let message = sent.receive().await?;
    if message.tag != u8::from(Tag::Result) {
        return Err(sent.protocol("it answered with something else than a result"));
    }
    sent.succeeded();
    // What it holds from here on is held for its caller, also where that was detached.
    sent.stream.linger_no_more();
    Ok(message)
}

/// Makes a value of the one result.
pub(super) fn decode<T>(
    sent: Sent,
    message: Message,
    reply: ReplyDecoder<T>,
) -> Result<T, CallError> {
    sent.reply(Some(message.body.len())).in_scope(|| {
        let value = value(message.body)?;
        // A result that holds values leaves the stream open; the values keep it.
        let held = (!message.end).then(|| HeldStream::source(sent));
        Ok(reply.decode(value, held)?)
    })
}

pub(super) fn value(body: Bytes) -> Result<Value, CallError> {
    Value::decode(body).map_err(|error| CallError::Codec { what: error.to_string(), error: None })
}
