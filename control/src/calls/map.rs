//! Many calls at once, with back-pressure.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::Work;
use crate::error::CallError;
use crate::pool::Pool;

impl Pool {
    /// Calls each work and gives the results in the order of the works. As many calls are under
    /// way as the pool can have slots (`max` runners with `max_concurrency` calls); the next work
    /// is taken from the iterator when a result is taken from the stream. Dropping it cancels the
    /// calls under way.
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
        stream::iter(works).map(move |work| pool.call(work)).buffered(at_once).boxed()
    }
}
