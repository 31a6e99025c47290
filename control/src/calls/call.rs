//! Calls whose caller waits for the result, and calls that are only handed over.

use std::fmt;
use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flame_runner_shim::calling::{EncodedWork, HeldGuard, ReplyDecoder};
use futures_util::future::BoxFuture;

use super::handle::CallHandle;
use super::in_flight::linger;
use super::outgoing::OutgoingCall;
use crate::Work;
use crate::error::CallError;
use crate::log::Logs;
use crate::pool::Pool;

/// A call: a future of its result. Dropping it cancels the call, unless the work is
/// [`detached`](Work::detached).
#[must_use = "a call is not made until it is awaited"]
pub struct Call<T, E = CallError> {
    future: ResultFuture<T, E>,
    handle: CallHandle,
}

type ResultFuture<T, E> = BoxFuture<'static, Result<T, E>>;

impl<T: Send + 'static, E: From<CallError> + Send + 'static> Call<T, E> {
    /// A call that `begin` makes of the encoded work.
    fn new<R>(
        pool: &Pool,
        work: Work<'_, R>,
        begin: impl FnOnce(CallHandle, EncodedWork, ReplyDecoder<R>) -> ResultFuture<T, E>,
    ) -> Self {
        let handle = CallHandle::new(pool.inner(), work.name(), work.options().trace);
        let future = match work.encode() {
            Ok((encoded, decoder)) => begin(handle.clone(), encoded, decoder),
            Err(error) => Box::pin(future::ready(Err(CallError::arguments(error).into()))),
        };
        Self { future, handle }
    }
}

impl<T, E> Call<T, E> {
    /// What the call logs and prints from now on. Ask for it before the call is polled, and the
    /// records begin with the very start of the work. Only the last 1,024 records of the pool are
    /// kept for a listener that has not read them; it is told how many it misses.
    ///
    /// A printed line belongs to the call only if its runner serves no other call. The stream ends
    /// with the pool and not with the call, whose last lines may arrive after its result.
    ///
    /// ```no_run
    /// # use flame_aws::{Pool, remote};
    /// #[remote]
    /// async fn import() -> u64 {
    ///     tracing::info!("begins");
    ///     1
    /// }
    ///
    /// # async fn example(pool: Pool) -> Result<(), flame_aws::CallError> {
    /// let call = pool.call(import());
    /// let mut logs = call.logs();
    /// let show = async {
    ///     while let Some(Ok(record)) = logs.next().await {
    ///         println!("{} {}", record.level, record.text);
    ///     }
    /// };
    /// tokio::select! {
    ///     rows = call => println!("{} rows", rows?),
    ///     () = show => {}
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn logs(&self) -> Logs {
        self.handle.logs()
    }

    /// An estimate of what the call has cost, in dollars: its slot's share of the runner's price, for
    /// the time that it was there; see [`cost`](crate::cost). `None` until the call has ended, and for
    /// a call that no runner got. So keep the call when you await it:
    ///
    /// ```no_run
    /// # use flame_aws::{Pool, remote};
    /// # #[remote]
    /// # async fn import() -> u64 { 1 }
    /// # async fn example(pool: Pool) -> Result<(), flame_aws::CallError> {
    /// let mut call = pool.call(import());
    /// let rows = (&mut call).await?;
    /// println!("{rows} rows for about {:?} dollars", call.estimated_cost());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn estimated_cost(&self) -> Option<f64> {
        self.handle.estimated_cost()
    }
}

impl<T, E> Future for Call<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl<T, E> fmt::Debug for Call<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.handle.info.function();
        f.debug_struct("Call").field("function", &function).finish_non_exhaustive()
    }
}

impl Pool {
    /// Runs the function on a runner and returns its result.
    ///
    /// The arguments are encoded now, so the future borrows nothing and can be spawned. The call's
    /// deadline also runs from now, and covers queue, boot, run and reply. Dropping the future
    /// cancels the call, on the runner too, unless the work is [`detached`](Work::detached). No
    /// function ever runs twice for one call.
    ///
    /// # Errors
    /// [`CallError`]. If the function itself returns a `Result`, that `Result` is the `T`.
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
    pub fn call<T: Send + 'static>(&self, work: Work<'_, T>) -> Call<T> {
        call(self, work, None)
    }

    /// Like [`call`](Self::call), for a function that returns a `Result` whose error type can be
    /// made from a [`CallError`]. The result then has the same type as that of the local call.
    ///
    /// # Errors
    /// The error of the function, or a [`CallError`] converted into that type.
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
    ) -> Call<T, E> {
        try_call(self, work, None)
    }

    /// Hands the call over: returns as soon as a runner has accepted it. The function's result, or
    /// its panic, is discarded. The pool's timeout bounds only the handover. The function has a
    /// deadline only if [`Work::timeout`] sets one.
    ///
    /// Once a runner has accepted the call, it runs whatever happens to the caller. If the future
    /// is dropped before that, the call may or may not run.
    ///
    /// # Errors
    /// [`CallError`]: no runner accepted the call.
    pub fn cast<T: Send + 'static>(&self, work: Work<'_, T>) -> Call<()> {
        Call::new(self, work, |call, encoded, _| {
            let call = OutgoingCall::new(call, encoded, None).handover();
            Box::pin(async move {
                let mut call = call.send().await?;
                call.accepted().await?;
                call.succeeded();
                linger(&call.stream);
                Ok(())
            })
        })
    }
}

/// Calls the function, on the runner that holds a value if there is one.
pub(super) fn call<T: Send + 'static>(
    pool: &Pool,
    work: Work<'_, T>,
    held: Option<Arc<dyn HeldGuard>>,
) -> Call<T> {
    Call::new(pool, work, |call, encoded, decoder| {
        Box::pin(result_of(OutgoingCall::new(call, encoded, held), decoder))
    })
}

/// Like [`call`], with the error type of the function.
pub(super) fn try_call<T: Send + 'static, E: From<CallError> + Send + 'static>(
    pool: &Pool,
    work: Work<'_, Result<T, E>>,
    held: Option<Arc<dyn HeldGuard>>,
) -> Call<T, E> {
    Call::new(pool, work, |call, encoded, decoder| {
        let result = result_of(OutgoingCall::new(call, encoded, held), decoder);
        Box::pin(async move { result.await? })
    })
}

/// Makes the call. Its result is received in a box, for which a call that still waits for a slot
/// reserves no memory.
async fn result_of<T: Send + 'static>(
    call: Box<OutgoingCall>,
    decoder: ReplyDecoder<T>,
) -> Result<T, CallError> {
    let mut call = call.send().await?;
    Box::pin(async move {
        let message = call.result().await?;
        call.decode(message, decoder)
    })
    .await
}
