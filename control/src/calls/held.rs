//! Values that stay on their runner, seen from the parent.

use std::any::Any;
use std::sync::Arc;

use flame_link::{Link, Stream};
use flame_runner_shim::calling::{HeldGuard, HeldSource};
use flame_wire::ids::RunnerRef;

use super::order::Sent;
use crate::error::CallError;
use crate::pool::Pool;
use crate::{CallStream, Child, Held, StreamWork, Work};

/// The stream of a call that gave held values: as long as it stands, so do they, their runner and
/// the slot.
pub(super) struct HeldStream {
    stream: Stream,
    runner: RunnerRef,
}

impl HeldStream {
    /// What the held values of a reply share.
    pub(super) fn source(sent: Sent) -> HeldSource {
        let (stream, runner) = (sent.stream, sent.runner);
        HeldSource { stream: stream.id().0, guard: Arc::new(Self { stream, runner }) }
    }

    pub(super) fn link(&self) -> Link {
        self.stream.link().clone()
    }

    pub(super) fn runner_name(&self) -> RunnerRef {
        self.runner
    }
}

impl HeldGuard for HeldStream {
    fn runner(&self) -> u64 {
        key(self.runner)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What tells runners apart, also those of different pools.
pub(super) fn key(runner: RunnerRef) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *runner.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The runner that holds a value, as a place to call; see [`Pool::at`]. What is called here shares
/// the slot that the value keeps, so it never waits for one.
#[derive(Debug, Clone)]
pub struct HeldRunner {
    pool: Pool,
    held: Option<Guard>,
}

#[derive(Clone)]
struct Guard(Arc<dyn HeldGuard>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "runner {:x}", self.0.runner())
    }
}

impl Pool {
    /// The runner that holds a value: functions that take the [`Held`] as an argument are called
    /// there.
    #[must_use]
    pub fn at<T: Send + Sync + 'static>(&self, held: &Held<T>) -> HeldRunner {
        HeldRunner { pool: self.clone(), held: held.guard().cloned().map(Guard) }
    }
}

impl HeldRunner {
    /// None for a value that is here: it can't be encoded as an argument, which says so.
    fn held(&self) -> Option<Arc<dyn HeldGuard>> {
        self.held.as_ref().map(|Guard(held)| held.clone())
    }

    /// As [`Pool::call`], on the runner that holds the value.
    pub fn call<T: Send + 'static>(
        &self,
        work: Work<'_, T>,
    ) -> impl Future<Output = Result<T, CallError>> + Send + 'static + use<T> {
        super::call::call(&self.pool, work, self.held())
    }

    /// As [`Pool::try_call`], on the runner that holds the value.
    pub fn try_call<T: Send + 'static, E: From<CallError> + Send + 'static>(
        &self,
        work: Work<'_, Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> + Send + 'static + use<T, E> {
        let call = self.call(work);
        async move { call.await? }
    }

    /// As [`Pool::place_child`], on the runner that holds the value.
    pub fn place_child<T: Send + 'static>(
        &self,
        work: Work<'_, T>,
    ) -> impl Future<Output = Result<Child<T>, CallError>> + Send + 'static + use<T> {
        super::child::place(&self.pool, work, self.held())
    }

    /// As [`Pool::stream`], on the runner that holds the value.
    pub fn stream<T: Send + 'static>(&self, work: StreamWork<'_, T>) -> CallStream<T> {
        super::stream::stream(&self.pool, work, self.held())
    }
}
