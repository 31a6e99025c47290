//! Many calls at once, with backpressure.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::Work;
use crate::error::CallError;
use crate::pool::Pool;

impl Pool {
    /// Calls each work, and yields the results, including errors, in the order of the works.
    ///
    /// The stream takes works from the iterator while it is polled, and runs each call in a task of
    /// its own. A call has its whole timeout from that moment, and makes progress however seldom
    /// the stream is polled.
    ///
    /// The number of running calls and unread results together is limited to the number of slots
    /// that the pool can have (`max` runners with `max_concurrency` calls each), or to
    /// [`max_queue`](crate::PoolBuilder::max_queue) if that is less. At the limit, the stream takes
    /// the next work when a result is read. Dropping the stream cancels the running calls, except
    /// [`detached`](Work::detached) ones that have reached a runner.
    ///
    /// ```no_run
    /// # use flame_aws::{Pool, remote};
    /// use futures_util::TryStreamExt;
    ///
    /// #[remote]
    /// fn square(n: u64) -> u64 {
    ///     n * n
    /// }
    ///
    /// # async fn example(pool: Pool) -> Result<(), flame_aws::CallError> {
    /// let squares: Vec<u64> = pool.map((0..100).map(square)).try_collect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<'w, T, I>(&self, works: I) -> BoxStream<'w, Result<T, CallError>>
    where
        T: Send + 'static,
        I: IntoIterator<Item = Work<'w, T>, IntoIter: Send + 'w>,
    {
        let limits = self.inner().primary.read(|state| state.limits().clone());
        let slots = u64::from(limits.max) * u64::from(limits.slots_per_runner());
        // The pool would reject more calls than its queue takes.
        let at_once = usize::try_from(slots).unwrap_or(usize::MAX).min(limits.max_queue);
        let pool = self.clone();
        // In tasks, because `buffered` polls no call while it has a result to yield.
        stream::iter(works).map(move |work| SpawnedCall::new(&pool, work)).buffered(at_once).boxed()
    }
}

/// A call in a task of its own, so that it makes progress without being polled. Dropping it cancels
/// the call.
struct SpawnedCall<T>(JoinHandle<Result<T, CallError>>);

impl<T: Send + 'static> SpawnedCall<T> {
    fn new(pool: &Pool, work: Work<'_, T>) -> Self {
        // The caller's span is the parent of the call's spans, as it is without a task.
        let call = pool.call(work).in_current_span();
        Self(pool.inner().runtime().spawn(call))
    }
}

impl<T> Future for SpawnedCall<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                // The app's own `Deserialize` panicked, which without a task would panic here, too.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The pool's runtime shuts down, and its runners with it.
                Err(_) => Err(CallError::Cancelled),
            },
        })
    }
}

impl<T> Drop for SpawnedCall<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
