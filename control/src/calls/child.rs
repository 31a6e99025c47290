//! Long-lived work on a runner.

use std::fmt;
use std::sync::Arc;

use flame_runner_shim::calling::{HeldGuard, ReplyDecoder};
use flame_wire::ids::RunnerRef;

use super::call::{accepted, decode, result};
use super::order::{Order, Sent};
use crate::Work;
use crate::error::CallError;
use crate::pool::Pool;

/// Work placed on a runner for as long as it likes. It holds a slot, and is never restarted.
///
/// Dropping it cancels the work, unless it was [`detached`](Work::detached).
#[must_use = "dropping a child ends it"]
pub struct Child<T> {
    sent: Sent,
    reply: ReplyDecoder<T>,
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("function", &self.sent.function)
            .field("runner", &self.sent.runner)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Child<T> {
    /// Waits for its result. Dropping the future ends it, as dropping the child does.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn join(mut self) -> Result<T, CallError> {
        let message = result(&mut self.sent).await?;
        decode(self.sent, message, self.reply)
    }

    /// Ends it: the function is dropped where it waits. Its slot is free when it has really ended,
    /// which for a plain function is when it returns. Also where it was
    /// [`detached`](Work::detached).
    pub fn stop(self) {
        self.sent.stream.linger_no_more();
    }

    /// The runner that it runs on.
    #[must_use]
    pub fn runner(&self) -> RunnerRef {
        self.sent.runner
    }
}

impl Pool {
    /// Starts work that stays: a worker that is fed by channels, a cache, a simulation. Returns
    /// when a runner has accepted it. It has no deadline, unless [`Work::timeout`] gives it one;
    /// the pool's timeout bounds only the placing.
    ///
    /// # Errors
    /// [`CallError`]: it was not placed.
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

pub(super) fn place<T: Send + 'static>(
    pool: &Pool,
    work: Work<'_, T>,
    at: Option<Arc<dyn HeldGuard>>,
) -> impl Future<Output = Result<Child<T>, CallError>> + Send + 'static + use<T> {
    let shared = pool.shared();
    let (encoded, reply) = match work.encode() {
        Ok((encoded, reply)) => (Ok(encoded), Ok(reply)),
        Err(error) => (Err(error.clone()), Err(error)),
    };
    let order = Order::new(shared, encoded, shared.config.timeout).with_ack().without_pool_budget();
    let order = order.at(at);
    async move {
        let reply = reply?;
        let mut sent = order.send().await?;
        accepted(&mut sent).await?;
        // From here on only the work's own deadline counts.
        sent.deadline = sent.work_deadline;
        Ok(Child { sent, reply })
    }
}
