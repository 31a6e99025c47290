//! Long-lived work on a runner.

use std::fmt;
use std::sync::Arc;

use flame_runner_shim::calling::{HeldGuard, ReplyDecoder};

use super::handle::CallHandle;
use super::in_flight::InFlightCall;
use super::outgoing::OutgoingCall;
use crate::error::CallError;
use crate::log::Logs;
use crate::pool::Pool;
use crate::{CallId, RunnerRef, Work};

/// Work that was placed on a runner and may run for any length of time. It occupies one slot, and
/// is never restarted.
///
/// Dropping it cancels the work, unless the work is [`detached`](Work::detached).
#[must_use = "dropping a child cancels its work"]
pub struct Child<T> {
    call: InFlightCall,
    decoder: ReplyDecoder<T>,
    /// The call's records since its start, until they are taken.
    logs: Option<Logs>,
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("function", &self.call.record.info().function())
            .field("runner", &self.call.runner)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Child<T> {
    /// Waits for the function's result. Dropping the future has the same effect as dropping the
    /// child.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn join(mut self) -> Result<T, CallError> {
        let message = self.call.result().await?;
        self.call.decode(message, self.decoder)
    }

    /// Cancels the work, even if it is [`detached`](Work::detached). An async function is dropped
    /// at the await point where it is. A plain function can't be interrupted: it occupies its slot
    /// until it returns.
    pub fn stop(self) {
        self.call.stream.reset_on_drop();
    }

    /// The runner that the work runs on.
    #[must_use]
    pub fn runner(&self) -> RunnerRef {
        self.call.runner
    }

    /// The call's id, which its log records have.
    #[must_use]
    pub fn call(&self) -> CallId {
        CallId(self.call.stream.id().0)
    }

    /// What the work logs and prints: the first time from its very start, later from now on. Only
    /// the last 1,024 records of the pool are kept for a listener that has not read them.
    ///
    /// A printed line belongs to the work only if its runner serves no other call. The stream ends
    /// with the pool and not with the work, whose last lines may arrive after its result.
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
    /// let mut child = pool.place_child(import()).await?;
    /// let mut logs = child.logs();
    /// let show = async {
    ///     while let Some(Ok(record)) = logs.next().await {
    ///         println!("{} {}", record.level, record.text);
    ///     }
    /// };
    /// tokio::select! {
    ///     rows = child.join() => println!("{} rows", rows?),
    ///     () = show => {}
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn logs(&mut self) -> Logs {
        self.logs.take().unwrap_or_else(|| self.call.record.call().logs())
    }
}

impl Pool {
    /// Starts long-lived work on a runner: a worker that is fed through channels, a cache, a
    /// simulation. Returns when a runner has accepted it. The work has a deadline only if
    /// [`Work::timeout`] sets one. The pool's timeout bounds only the placing.
    ///
    /// # Errors
    /// [`CallError`]: the work was not placed.
    ///
    /// ```no_run
    /// # use flame_aws::{Pool, Receiver, Sender, channel, remote};
    /// #[remote]
    /// async fn squares(mut numbers: Receiver<u64>, out: Sender<u64>) -> anyhow::Result<()> {
    ///     while let Some(n) = numbers.recv().await? {
    ///         out.send(n * n).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # async fn example(pool: Pool) -> anyhow::Result<()> {
    /// let (numbers, rx) = channel(8);
    /// let (tx, mut out) = channel(8);
    /// let child = pool.place_child(squares(rx, tx)).await?;
    /// numbers.send(12).await?;
    /// assert_eq!(out.recv().await?, Some(144));
    /// drop(numbers);
    /// child.join().await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn place_child<T: Send + 'static>(
        &self,
        work: Work<'_, T>,
    ) -> impl Future<Output = Result<Child<T>, CallError>> + Send + 'static + use<T> {
        place(self, work, None)
    }
}

/// Places the work, on the runner that holds a value if there is one.
pub(super) fn place<T: Send + 'static>(
    pool: &Pool,
    work: Work<'_, T>,
    held: Option<Arc<dyn HeldGuard>>,
) -> impl Future<Output = Result<Child<T>, CallError>> + Send + 'static + use<T> {
    let handle = CallHandle::new(pool.inner(), work.name(), work.options().trace);
    let outgoing = work.encode().map(|(encoded, decoder)| {
        (OutgoingCall::new(handle.clone(), encoded, held).handover(), decoder)
    });
    async move {
        let (call, decoder) = outgoing.map_err(CallError::arguments)?;
        let logs = handle.logs();
        let mut call = call.send().await?;
        call.accepted().await?;
        // The handover is done, so only the deadline of the work itself counts from now on.
        call.deadline = call.work_deadline;
        Ok(Child { call, decoder, logs: Some(logs) })
    }
}
