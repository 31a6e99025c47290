//! Calls whose caller waits for the result, and calls that are only handed over.

use std::sync::Arc;

use flame_runner_shim::calling::HeldGuard;

use super::in_flight::linger;
use super::outgoing::OutgoingCall;
use crate::Work;
use crate::error::CallError;
use crate::pool::Pool;

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
    pub fn call<T: Send + 'static>(
        &self,
        work: Work<'_, T>,
    ) -> impl Future<Output = Result<T, CallError>> + Send + 'static + use<T> {
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
    ) -> impl Future<Output = Result<T, E>> + Send + 'static + use<T, E> {
        let call = self.call(work);
        async move { call.await? }
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
    pub fn cast<T: Send + 'static>(
        &self,
        work: Work<'_, T>,
    ) -> impl Future<Output = Result<(), CallError>> + Send + 'static + use<T> {
        let shared = self.inner();
        let outgoing =
            work.encode().map(|(encoded, _)| OutgoingCall::new(shared, encoded, None).handover());
        async move {
            let mut call = outgoing.map_err(CallError::arguments)?.send().await?;
            call.accepted().await?;
            call.succeeded();
            linger(&call.stream);
            Ok(())
        }
    }
}

/// Calls the function, on the runner that holds a value if there is one.
pub(super) fn call<T: Send + 'static>(
    pool: &Pool,
    work: Work<'_, T>,
    held: Option<Arc<dyn HeldGuard>>,
) -> impl Future<Output = Result<T, CallError>> + Send + 'static + use<T> {
    let shared = pool.inner();
    let outgoing =
        work.encode().map(|(encoded, decoder)| (OutgoingCall::new(shared, encoded, held), decoder));
    async move {
        let (call, decoder) = outgoing.map_err(CallError::arguments)?;
        let mut call = call.send().await?;
        // Boxed, because a call that still waits for a slot would otherwise reserve this memory
        // too.
        Box::pin(async move {
            let message = call.result().await?;
            call.decode(message, decoder)
        })
        .await
    }
}
