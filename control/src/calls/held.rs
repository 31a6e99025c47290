//! Calls to the runner that holds a value.

use std::fmt;
use std::sync::Arc;

use flame_runner_shim::calling::HeldGuard;

use super::{call, child, stream};
use crate::error::CallError;
use crate::pool::Pool;
use crate::{Call, CallStream, Child, Held, StreamWork, Work};

/// The runner that holds a value, as a place to make calls; see [`Pool::at`]. These calls share the
/// slot that the value occupies, so they never wait for one.
#[derive(Clone)]
pub struct HeldRunner {
    pool: Pool,
    /// None for a value in this process. Such a value can't be an argument, and encoding it says
    /// so.
    guard: Option<Arc<dyn HeldGuard>>,
}

impl fmt::Debug for HeldRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runner = self.guard.as_ref().map(|guard| guard.runner());
        f.debug_struct("HeldRunner").field("pool", &self.pool).field("runner", &runner).finish()
    }
}

impl Pool {
    /// The runner that holds the value `held`. Functions that take `held` as an argument are called
    /// there.
    #[must_use]
    pub fn at<T: Send + Sync + 'static>(&self, held: &Held<T>) -> HeldRunner {
        HeldRunner { pool: self.clone(), guard: held.guard().cloned() }
    }
}

impl HeldRunner {
    /// Like [`Pool::call`], on the runner that holds the value.
    pub fn call<T: Send + 'static>(&self, work: Work<'_, T>) -> Call<T> {
        call::call(&self.pool, work, self.guard.clone())
    }

    /// Like [`Pool::try_call`], on the runner that holds the value.
    pub fn try_call<T: Send + 'static, E: From<CallError> + Send + 'static>(
        &self,
        work: Work<'_, Result<T, E>>,
    ) -> Call<T, E> {
        call::try_call(&self.pool, work, self.guard.clone())
    }

    /// Like [`Pool::place_child`], on the runner that holds the value.
    pub fn place_child<T: Send + 'static>(
        &self,
        work: Work<'_, T>,
    ) -> impl Future<Output = Result<Child<T>, CallError>> + Send + 'static + use<T> {
        child::place(&self.pool, work, self.guard.clone())
    }

    /// Like [`Pool::stream`], on the runner that holds the value.
    pub fn stream<T: Send + 'static>(&self, work: StreamWork<'_, T>) -> CallStream<T> {
        stream::stream(&self.pool, work, self.guard.clone())
    }
}
