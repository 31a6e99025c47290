//! Many calls at once, with back-pressure.

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
    /// Calls each work and gives the results in the order of the works, errors among them.
    ///
    /// Works are taken from the iterator while the stream is polled, and each is then called in a
    /// task of its own: it has its whole timeout from that moment, and goes on however seldom the
    /// stream is polled. Calls under way and results that are not read yet are together at most as
    /// many as the pool can have slots (`max` runners with `max_concurrency` calls), or as may wait
    /// ([`max_queue`](crate::PoolBuilder::max_queue)) where that is less: then the next work is
    /// taken when a result is read. Dropping the stream cancels the calls under way; those that
    /// are [`detached`](Work::detached) and on a runner already go on there.
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
        let limits = self.shared().read(|state| state.limits().clone());
        let slots = u64::from(limits.max) * u64::from(limits.slots_per_runner());
        // More calls than may wait would be refused.
        let at_once = usize::try_from(slots).unwrap_or(usize::MAX).min(limits.max_queue);
        let pool = self.clone();
        // In tasks, since `buffered` polls no call while it has a result to give.
        stream::iter(works).map(move |work| Driven::new(&pool, work)).buffered(at_once).boxed()
    }
}

/// A call that goes on although nobody polls it; cancelled when this is dropped.
struct Driven<T>(JoinHandle<Result<T, CallError>>);

impl<T: Send + 'static> Driven<T> {
    fn new(pool: &Pool, work: Work<'_, T>) -> Self {
        // The spans of the call belong to the caller's, as they do without a task.
        let call = pool.call(work).in_current_span();
        Self(pool.shared().runtime.spawn(call))
    }
}

impl<T> Future for Driven<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                // A panic of the app's own decoding, as without a task.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The pool's runtime ends, and its runners with it.
                Err(_) => Err(CallError::Cancelled),
            },
        })
    }
}

impl<T> Drop for Driven<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
