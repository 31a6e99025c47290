//! The pool: an elastic set of runners of one kind, and the calls to them.
//!
//! ```text
//! Pool (handle) ─▶ calls ──check_out──▶ driver ──events──▶ PoolState (pure)
//!                    │                    │  ◀──actions──
//!                    └──── Lease ◀────────┘──▶ runner tasks ──▶ Backend, Link
//! ```

use std::fmt;
use std::sync::Arc;

mod builder;
mod burst;
mod callbacks;
mod config;
pub(crate) mod driver;
pub(crate) mod events;
mod lease;
mod output;
pub(crate) mod state;
mod view;

pub use builder::{Idle, PoolBuilder};
pub use events::{Events, GrowReason, Lagged, PoolEvent, ShrinkReason};
pub(crate) use lease::Lease;
pub use state::{LimitsChange, Placement};
pub use view::{Explanation, RunnerState, RunnerView, Snapshot};

use driver::Shared;
use flame_runner_shim::log_writer;
use state::Event;

/// A handle on a pool; cheap to clone. When the last one is dropped, the pool drains: calls under
/// way go on to their end, and then its runners end.
///
/// ```
/// use flame_aws::backend::Local;
/// use flame_aws::{LimitsChange, Pool, PoolEvent};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // `Local` for an example that starts no process; without it, copies of the app.
/// let pool = Pool::builder("demo").max(2).backend(Local::new()).start().await?;
/// let mut events = pool.events();
/// assert_eq!(pool.snapshot().up, 0);
/// assert!(!pool.explain().wants_more(), "{}", pool.explain());
///
/// pool.resize(LimitsChange { min: Some(1), ..LimitsChange::default() })?;
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
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.all().for_each(|pool| pool.handle(Event::Drain));
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool to be configured and started. The name (1 to 64 bytes, no control characters) shows in
    /// logs and events.
    pub fn builder(name: impl Into<String>) -> PoolBuilder {
        PoolBuilder::new(name)
    }

    fn new(shared: Arc<Shared>) -> Self {
        Self { handle: Arc::new(Handle { shared }) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared().config.name
    }

    /// Waits until `min` runners have come up once. A pool whose boots fail goes on trying: see
    /// [`explain`](Self::explain) and [`events`](Self::events). Returns also when it drains, and at
    /// once where no copy can be booted because this process has not reached
    /// [`App::run`](crate::App::run) yet. Cancel-safe.
    pub async fn ready(&self) {
        let mut status = self.shared().status.subscribe();
        // The sender lives as long as this handle.
        let over = |status: &driver::Status| status.ready || status.drained || status.barred;
        let _ = status.wait_for(over).await;
    }

    /// Ends the pool for good: calls that wait, and new ones, get
    /// [`Draining`](crate::CallError::Draining), those under way have `shutdown_timeout` to end,
    /// and the runners end. Returns when nothing is left of them, and what they printed and logged
    /// is in the log; it does not wait for a log that has taken nothing for a second, nor longer
    /// than five seconds for a slow one. Cancel-safe, in that draining goes on without the future.
    pub async fn drain(&self) {
        self.drain_within(self.shared().config.shutdown_timeout).await;
    }

    /// The same as [`drain`](Self::drain), with another window for the calls under way, of which at
    /// most `shutdown_timeout` counts. With zero they get [`Cancelled`](crate::CallError::Cancelled)
    /// at once. A pool that drains already is hurried by a shorter window. Cancel-safe, in that
    /// draining goes on without the future.
    pub async fn drain_within(&self, window: std::time::Duration) {
        self.shared().begin_drain(window);
        self.shared().drained().await;
        // What they printed last belongs in the log before the process ends.
        log_writer::global().flush().await;
    }

    /// Changes limits while the pool runs; not those of its burst backend. A lower `max` drains idle
    /// runners first, and busy ones as their calls end.
    ///
    /// # Errors
    /// [`PoolError::Option`](crate::PoolError::Option), and nothing is changed.
    pub fn resize(&self, change: LimitsChange) -> Result<(), crate::PoolError> {
        self.shared().resize(change)
    }

    /// The pool at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        view::snapshot(self.shared())
    }

    /// Why the pool grows, or does not, at this moment.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        view::explain(self.shared(), driver::now())
    }

    /// What the pool does from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.shared().events.subscribe())
    }
}
