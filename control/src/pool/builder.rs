//! The options of a pool. Those of its connections and of the code that its runners run have files of
//! their own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Placement;
use super::callbacks::Callbacks;
use super::events::PoolEvent;
use super::state::{BootBackoff, Idle};
use crate::backend::Backend;
use crate::backend::catch_panics::CatchPanics;
#[cfg(feature = "code-s3")]
use crate::code::CodeStore;
use crate::cost::{Budget, Prices};
use crate::relay::Relay;
use crate::size::Size;

mod check;
mod code_options;
mod connection_options;
mod connection_times;
mod start;

/// The options of a new pool; see [`Pool::builder`](crate::Pool::builder).
///
/// Each option has a default, and [`start`](Self::start) checks all of them: the error names every
/// option that is wrong. Very long times, such as [`Duration::MAX`], are accepted.
///
/// ```no_run
/// use std::time::Duration;
///
/// use flame_aws::{Idle, Placement, Pool, PoolEvent};
///
/// # async fn example() -> Result<(), flame_aws::PoolError> {
/// let pool = Pool::builder("thumbs")
///     .min(1)
///     .max(8)
///     .max_concurrency(2)
///     .timeout(Duration::from_secs(60))
///     .idle_shutdown_after(Duration::from_secs(10))
///     .min_idle_shutdown_after(Idle::Never)
///     .placement(Placement::Pack)
///     .on_grow_end(|event| {
///         if let PoolEvent::GrowEnd { failure: Some(failure), .. } = event {
///             eprintln!("a boot failed: {failure}");
///         }
///     })
///     .start()
///     .await?;
/// pool.ready().await; // one runner is up
/// # Ok(())
/// # }
/// ```
#[must_use = "a pool starts only when `start` is called"]
pub struct PoolBuilder {
    name: String,
    min: u32,
    max: u32,
    /// Default 100, or 1 with `single_use`.
    max_concurrency: Option<u32>,
    single_use: bool,
    timeout: Option<Duration>,
    boot_timeout: Option<Duration>,
    shutdown_timeout: Duration,
    idle: Idle,
    min_idle: Idle,
    max_queue: usize,
    min_free_slots: u32,
    placement: Placement,
    log: bool,
    max_message: u64,
    max_depth: u8,
    max_lifetime: Option<Duration>,
    size: Size,
    reconnect_timeout: Option<Duration>,
    keepalive_timeout: Option<Duration>,
    listen: Option<SocketAddr>,
    relay: Option<Relay>,
    advertise: Option<String>,
    backend: Option<Arc<dyn Backend>>,
    burst: Option<Arc<dyn Backend>>,
    burst_max: u32,
    code_sync: bool,
    #[cfg(feature = "code-s3")]
    code_store: Option<CodeStore>,
    backoff: BootBackoff,
    callbacks: Callbacks,
    prices: Prices,
    budget: Option<Budget>,
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("name", &self.name)
            .field("min", &self.min)
            .field("max", &self.max)
            .field("max_concurrency", &self.max_concurrency)
            .finish_non_exhaustive()
    }
}

impl PoolBuilder {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            min: 0,
            max: 4,
            max_concurrency: None,
            single_use: false,
            timeout: Some(Duration::from_secs(30)),
            boot_timeout: None,
            shutdown_timeout: Duration::from_secs(30),
            idle: Idle::After(Duration::from_secs(30)),
            min_idle: Idle::Never,
            max_queue: 10_000,
            min_free_slots: 0,
            placement: Placement::Spread,
            log: true,
            max_message: 1 << 30,
            max_depth: 8,
            max_lifetime: None,
            size: Size::new(),
            reconnect_timeout: None,
            keepalive_timeout: None,
            listen: None,
            relay: None,
            advertise: None,
            backend: None,
            burst: None,
            burst_max: 100,
            code_sync: false,
            #[cfg(feature = "code-s3")]
            code_store: None,
            backoff: BootBackoff::default(),
            callbacks: Callbacks::default(),
            prices: Prices::default(),
            budget: None,
        }
    }

    /// How many runners stay up without demand: 0 to `max`. Default 0.
    ///
    /// They boot when the pool starts, and may also end for idleness if
    /// [`min_idle_shutdown_after`](Self::min_idle_shutdown_after) is set. On a runner it is always
    /// 0.
    pub fn min(mut self, min: u32) -> Self {
        self.min = min;
        self
    }

    /// Maximum number of instances, including those booting or shutting down. At least 1; default
    /// 4.
    pub fn max(mut self, max: u32) -> Self {
        self.max = max;
        self
    }

    /// How many calls one runner serves at a time: 1 to 32,768. Default 100. With
    /// [`single_use`](Self::single_use) it is always 1.
    pub fn max_concurrency(mut self, calls: u32) -> Self {
        self.max_concurrency = Some(calls);
        self
    }

    /// Whether each runner serves one call only, and then ends. Default false.
    ///
    /// The runner accepts no second call, not even by [`Pool::at`](crate::Pool::at) for a value
    /// that it holds.
    pub fn single_use(mut self, single_use: bool) -> Self {
        self.single_use = single_use;
        self
    }

    /// How long a call may take in all: waiting in the queue, booting a runner, running, and
    /// receiving the result. `None` means no limit; zero is rejected. Default 30 s.
    ///
    /// [`Work::timeout`](crate::Work::timeout) overrides it for one call.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How long a boot may take, from requesting an instance until its runner connects. At least
    /// 1 ms. Default: the backend's; [`Process`](crate::backend::Process) has 10 s.
    ///
    /// It bounds a boot, not a call: a call that waits for a boot still has its own
    /// [`timeout`](Self::timeout). The burst backend always uses its own default.
    pub fn boot_timeout(mut self, timeout: Duration) -> Self {
        self.boot_timeout = Some(timeout);
        self
    }

    /// How long calls may go on when their runner has to end. After that they get
    /// [`Cancelled`](crate::CallError::Cancelled). Zero cancels them at once. Default 30 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// How long a runner must be idle before it ends: a [`Duration`], or [`Idle::Never`]. Zero ends
    /// a runner as soon as it serves no call. Default 30 s.
    ///
    /// Runners that `min` or `min_free_slots` needs stay. An app can add a condition with
    /// [`App::idle_when`](crate::App::idle_when).
    pub fn idle_shutdown_after(mut self, idle: impl Into<Idle>) -> Self {
        self.idle = idle.into();
        self
    }

    /// How long a runner that is needed for `min` must be idle before it ends: a [`Duration`], or
    /// [`Idle::Never`]. Default never.
    ///
    /// The next call boots such runners again.
    pub fn min_idle_shutdown_after(mut self, idle: impl Into<Idle>) -> Self {
        self.min_idle = idle.into();
        self
    }

    /// How many calls may wait for a slot. The next one gets
    /// [`QueueFull`](crate::CallError::QueueFull). At least 1; default 10,000.
    pub fn max_queue(mut self, calls: usize) -> Self {
        self.max_queue = calls;
        self
    }

    /// How many slots the pool keeps free ahead of demand: it boots another runner when fewer are
    /// free, as far as `max` allows. From 0 to the slots of `max` runners. Default 0; on a runner
    /// always 0.
    pub fn min_free_slots(mut self, slots: u32) -> Self {
        self.min_free_slots = slots;
        self
    }

    /// Which runner a call goes to, among those with a free slot. Default [`Placement::Spread`].
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Whether the output and the log of runners appear in this process's log. Default true.
    ///
    /// Each `tracing` event of a runner, and each line that a child process prints, becomes an
    /// event with the target `flame::runner`. Its fields are `runner`; `call`, if that is known;
    /// and `from` (the target of the original event) or `stream`. If this process has no `tracing`
    /// subscriber, the lines go to its standard error.
    ///
    /// **Levels.** A runner whose `main` sets no subscriber sends its events with their levels. A
    /// runner whose `main` sets one prints its events instead, and the parent reads level and time
    /// from the printed line. It knows the formats of `tracing_subscriber` (full, compact, pretty,
    /// JSON) and `env_logger` and similar ones. The message of a panic is an error, and any other
    /// line is an INFO event. A line that does not start with a time is never taken for DEBUG or
    /// TRACE. Escape sequences, such as those for colours, are removed.
    ///
    /// **A slow log.** A separate thread, `flame-log`, writes the lines, so neither calls nor child
    /// processes wait for the log. At most 16 MiB of lines wait to be written; lines beyond that
    /// are dropped, and the log says how many. Before that happens, a child process that prints
    /// faster than the log accepts is slowed down: when 4 MiB are waiting, its output is not read
    /// until only 2 MiB are, for one second at most. [`Pool::drain`](crate::Pool::drain) and the
    /// end of [`App::run`](crate::App::run) wait until the lines are written; they give up when
    /// nothing has been written for one second, and after five seconds in any case. Events that the
    /// app logs itself still call its subscriber directly. If standard error may block, give the
    /// subscriber a writer that does not, such as that of `tracing_appender`.
    pub fn log(mut self, log: bool) -> Self {
        self.log = log;
        self
    }

    /// Maximum size of a message, in bytes: the arguments of a call, or its result. At least 1 KiB;
    /// default 1 GiB.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// How deep calls may nest, when a remote function calls a pool of its own. 1 means that remote
    /// functions can't call others. At least 1; default 8.
    ///
    /// AWS stops chains of Lambda functions that invoke each other after about 16 invocations (AWS
    /// documentation, "Use Lambda recursive loop detection"), unless the function's RecursiveLoop
    /// setting is `Allow`. So a greater depth has no effect there.
    pub fn max_depth(mut self, depth: u8) -> Self {
        self.max_depth = depth;
        self
    }

    /// Maximum lifetime of a runner. After it the runner drains, and the pool boots another if one
    /// is needed. At least 1 ms; default no limit.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = Some(max_lifetime);
        self
    }

    /// What each runner has: processors, memory, GPUs, storage. Each backend checks it when the pool
    /// starts; see [`Size`]. Applies to the burst backend as well. Default: what the backend or its
    /// platform decides.
    pub fn size(mut self, size: Size) -> Self {
        self.size = size;
        self
    }

    /// Where runners run. Default [`Process`](crate::backend::Process): child processes that are
    /// copies of this executable.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.backend = Some(CatchPanics::wrap(backend));
        self
    }

    #[doc = include_str!("burst.md")]
    pub fn burst(mut self, backend: impl Backend) -> Self {
        self.burst = Some(CatchPanics::wrap(backend));
        self
    }

    /// Maximum number of instances of the [`burst`](Self::burst) backend, including those booting
    /// or shutting down. At least 1; default 100.
    ///
    /// On Lambda each instance is one concurrent invocation, of which an account has 1,000 by
    /// default (AWS documentation, Lambda quotas).
    pub fn burst_max(mut self, max: u32) -> Self {
        self.burst_max = max;
        self
    }

    /// The prices from which the pool's costs are estimated. Default: AWS's public prices; see
    /// [`Prices`].
    pub fn prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    /// The most that the pool may cost per hour, in US dollars and by the estimate of
    /// [`cost`](crate::cost): a number, or a [`Budget`]. Default: no limit.
    ///
    /// The pool boots no runner with which its instances, including those that boot or shut down,
    /// would cost more per hour. Calls that need a runner wait, as they do when `max` is reached,
    /// and [`Pool::explain`](crate::Pool::explain) says why. With [`Budget::refuse`] they get
    /// [`OverBudget`](crate::CallError::OverBudget) instead. In a pool with a burst backend, the
    /// primary backend comes first, with `max` runners, and the burst backend gets the rest.
    ///
    /// It is no limit on what AWS bills: see [`cost`](crate::cost).
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), flame_aws::PoolError> {
    /// let pool = flame_aws::Pool::builder("thumbs").budget(2.0).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn budget(mut self, budget: impl Into<Budget>) -> Self {
        self.budget = Some(budget.into());
        self
    }

    /// How long the pool pauses after a failed boot: `first` after one failure, then twice as long
    /// after each further failure in a row, up to `longest`. Up to half of each pause is random.
    /// `first` is at least 1 ms, and at most `longest`. Default 250 ms and 30 s.
    pub fn boot_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = BootBackoff { first, max: longest, ..self.backoff };
        self
    }

    /// After how many failed boots in a row the pool boots nothing for `pause`. In that time calls
    /// that need a boot get [`BootFailed`](crate::CallError::BootFailed) at once. Then the pool
    /// tries a single boot: if it fails, the pool pauses again; if it succeeds, the pool boots
    /// normally. At least 1 failure and 1 ms. Default 5 failures and 30 s.
    pub fn boot_breaker(mut self, failures: u32, pause: Duration) -> Self {
        self.backoff = BootBackoff { breaker_after: failures, breaker_open: pause, ..self.backoff };
        self
    }

    /// Called when a boot begins, with [`PoolEvent::GrowStart`].
    ///
    /// Callbacks run in a task of their own, so they don't block the pool. A panic in one is
    /// logged, and the later events are still delivered. See also
    /// [`Pool::events`](crate::Pool::events).
    pub fn on_grow_start(mut self, f: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Self {
        self.callbacks.grow_start = Some(Box::new(f));
        self
    }

    /// Called when a boot has ended, with [`PoolEvent::GrowEnd`]. See
    /// [`on_grow_start`](Self::on_grow_start).
    pub fn on_grow_end(mut self, f: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Self {
        self.callbacks.grow_end = Some(Box::new(f));
        self
    }

    /// Called when a runner has ended, with [`PoolEvent::Shrink`] or [`PoolEvent::RunnerLost`]. See
    /// [`on_grow_start`](Self::on_grow_start).
    pub fn on_shrink(mut self, f: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Self {
        self.callbacks.shrink = Some(Box::new(f));
        self
    }
}
