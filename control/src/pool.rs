//! The pool: an elastic set of runners of one kind, and the calls to them.
//!
//! ```text
//! Pool (handle) ─▶ PoolInner ─▶ checkout ──▶ Lane ──events──▶ PoolState (pure)
//!                                  │          │ ◀──actions──
//!                                  └─ Lease ◀─┘──▶ one Supervisor for each runner ──▶ Backend, Link
//! ```
//!
//! The modules depend on each other in one direction: `state` ◀ `lane` ◀ `burst`, `checkout` ◀
//! `inner` ◀ `builder` and this one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

mod builder;
mod burst;
pub(crate) mod call_info;
mod callbacks;
mod checkout;
pub(crate) mod events;
pub(crate) mod inner;
pub(crate) mod lane;
mod lease;
mod output;
mod shared;
pub(crate) mod state;
pub(crate) mod view;

pub use builder::PoolBuilder;
pub use events::{Events, GrowReason, Lagged, PoolEvent, ShrinkReason};
pub(crate) use inner::{PoolInner, RunnerEnding};
pub(crate) use lease::Lease;
pub use state::{Idle, LimitsChange, Placement};
pub use view::{Explanation, RunnerState, RunnerView, Snapshot};

use flame_runner_shim::log_writer;
use state::Event;

use crate::cost::Costs;
use crate::log::Logs;

/// A handle to a pool; cheap to clone. When the last handle is dropped, the pool drains: calls
/// under way finish, and then the runners shut down.
///
/// ```
/// use flame_aws::backend::Local;
/// use flame_aws::{LimitsChange, Pool, PoolEvent};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // `Local` runs runners inside this process. Without it, runners are child processes.
/// let pool = Pool::builder("demo").max(2).backend(Local::new()).start().await?;
/// let mut events = pool.events();
/// assert_eq!(pool.snapshot().up, 0);
/// assert!(!pool.explain().wants_more(), "{}", pool.explain());
///
/// pool.resize(LimitsChange::new().min(1))?;
/// while let Some(event) = events.next().await {
///     if let PoolEvent::GrowEnd { up: true, .. } = event? {
///         break;
///     }
/// }
/// assert_eq!(pool.snapshot().up, 1);
/// pool.drain().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    handle: Arc<PoolHandle>,
}

/// Drains the pool when it is dropped.
struct PoolHandle {
    inner: Arc<PoolInner>,
}

impl Drop for PoolHandle {
    fn drop(&mut self) {
        self.inner.lanes().for_each(|lane| lane.handle(Event::DrainPool));
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Pool {
    /// Configures a new pool. The name (1 to 64 bytes, without control characters) appears in logs
    /// and events.
    pub fn builder(name: impl Into<String>) -> PoolBuilder {
        PoolBuilder::new(name)
    }

    fn new(inner: Arc<PoolInner>) -> Self {
        Self { handle: Arc::new(PoolHandle { inner }) }
    }

    pub(crate) fn inner(&self) -> &Arc<PoolInner> {
        &self.handle.inner
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.inner().name()
    }

    /// Waits until `min` runners have come up for the first time. A pool whose boots fail keeps
    /// trying: see [`explain`](Self::explain) and [`events`](Self::events). Also returns when the
    /// pool drains, and at once if no runner can boot because this process has not reached
    /// [`App::run`](crate::App::run) yet. Cancel-safe.
    pub async fn ready(&self) {
        let mut status = self.inner().primary.status();
        // The sender lives as long as this handle.
        let _ =
            status.wait_for(|status| status.ready || status.drained || status.boots_blocked).await;
    }

    /// Shuts the pool down for good. Calls that wait, and new ones, get
    /// [`Draining`](crate::CallError::Draining). Calls under way have `shutdown_timeout` to end;
    /// then they get [`Cancelled`](crate::CallError::Cancelled), and the runners end. Returns when
    /// no runner is left and the runners' printed and logged lines have been written. It stops
    /// waiting for the log when nothing has been written for one second, and after five seconds in
    /// any case.
    ///
    /// Draining goes on if the future is dropped.
    pub async fn drain(&self) {
        self.drain_within(self.inner().shutdown_timeout()).await;
    }

    /// As [`drain`](Self::drain), with another window for the calls under way. A window longer than
    /// `shutdown_timeout` has no effect; with zero, calls get
    /// [`Cancelled`](crate::CallError::Cancelled) at once. On a pool that drains already, a shorter
    /// window applies from now on.
    ///
    /// Draining goes on if the future is dropped.
    pub async fn drain_within(&self, window: Duration) {
        self.inner().begin_drain(window);
        self.inner().drained().await;
        // What the runners printed last belongs in the log before the process ends.
        log_writer::global().flush().await;
    }

    /// Changes limits while the pool runs. The limits of a burst backend stay as they are. A lower
    /// `max` stops boots first, then idle runners, and then busy runners as soon as their calls
    /// have ended.
    ///
    /// # Errors
    /// [`PoolError::Option`](crate::PoolError::Option) if a limit is out of range; then no limit
    /// has changed.
    pub fn resize(&self, change: LimitsChange) -> Result<(), crate::PoolError> {
        self.inner().primary.resize(change)
    }

    /// Lets a runner end: it gets no more calls, and shuts down when those that it serves have
    /// ended. A runner that still boots is stopped. If the pool needs a runner in its place, it
    /// boots another one.
    ///
    /// Returns at once; the end is reported by [`Shrink`](crate::PoolEvent::Shrink). Does nothing if
    /// the runner ends already.
    ///
    /// # Errors
    /// [`UnknownRunner`](crate::UnknownRunner) if the pool has no such runner.
    pub fn drain_runner(&self, runner: crate::RunnerRef) -> Result<(), crate::UnknownRunner> {
        self.inner().end_runner(runner, RunnerEnding::Drain)
    }

    /// As [`drain_runner`](Self::drain_runner), but the runner's instance is killed, and the calls
    /// on it get [`RunnerLost`](crate::CallError::RunnerLost).
    ///
    /// Returns at once; the end is reported by [`RunnerLost`](crate::PoolEvent::RunnerLost) if the
    /// runner was serving calls, and otherwise by [`Shrink`](crate::PoolEvent::Shrink).
    ///
    /// # Errors
    /// [`UnknownRunner`](crate::UnknownRunner) if the pool has no such runner.
    pub fn stop_runner(&self, runner: crate::RunnerRef) -> Result<(), crate::UnknownRunner> {
        self.inner().end_runner(runner, RunnerEnding::Stop)
    }

    /// The state of the pool at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        view::snapshot(self.inner(), lane::now())
    }

    /// Why the pool grows, or does not, at this moment.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        view::explain(self.inner(), lane::now())
    }

    /// A live page of the pool; see [`dashboard`](crate::dashboard). It records what the pool does
    /// from now on, and does not keep the pool alive.
    #[cfg(feature = "dashboard")]
    pub fn dashboard(&self) -> crate::dashboard::Dashboard {
        crate::dashboard::Dashboard::of([self])
    }

    /// The estimated costs of the pool, of both backends together; see [`cost`](crate::cost).
    #[must_use]
    pub fn costs(&self) -> Costs {
        self.inner().costs()
    }

    /// The events of the pool from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.inner().shared.events.subscribe())
    }

    /// What the pool's runners log and print from now on. With the option
    /// [`log`](PoolBuilder::log) off, there is nothing: runners send nothing then. See
    /// [the guide](crate::guide::observability#logs).
    pub fn logs(&self) -> Logs {
        self.inner().shared.log.listen()
    }

    /// How many lines of the pool's runners were dropped so far, because a runner's link or the
    /// parent's log did not keep up. In the log, each gap has a record with the number of lines.
    #[must_use]
    pub fn dropped_log_lines(&self) -> u64 {
        self.inner().shared.log.dropped()
    }
}

#[cfg(test)]
mod tests;
