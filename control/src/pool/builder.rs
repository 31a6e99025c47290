//! The options of a pool.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Placement;
use super::callbacks::Callbacks;
use super::events::PoolEvent;
use super::state::Backoff;
use crate::backend::Backend;
use crate::backend::catch_panics::CatchPanics;

mod check;
mod connection_times;
mod start;

/// When a runner without work may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// When it had no work for so long.
    After(Duration),
    /// Never by itself.
    Never,
}

impl From<Duration> for Idle {
    fn from(after: Duration) -> Self {
        Idle::After(after)
    }
}

impl Idle {
    fn limit(self) -> Option<Duration> {
        match self {
            Idle::After(after) => Some(after),
            Idle::Never => None,
        }
    }
}

/// The options of a pool that is to be started; see [`Pool::builder`](crate::Pool::builder).
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
/// pool.ready().await; // its one runner is up
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `start`"]
pub struct PoolBuilder {
    name: String,
    min: u32,
    max: u32,
    /// Unset, it is 100; or 1, where a runner serves one call.
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
    reconnect_timeout: Option<Duration>,
    keepalive_timeout: Option<Duration>,
    listen: SocketAddr,
    advertise: Option<String>,
    backend: Option<Arc<dyn Backend>>,
    burst: Option<Arc<dyn Backend>>,
    burst_max: u32,
    code_sync: bool,
    backoff: Backoff,
    callbacks: Callbacks,
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
            reconnect_timeout: None,
            keepalive_timeout: None,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            advertise: None,
            backend: None,
            burst: None,
            burst_max: 100,
            code_sync: false,
            backoff: Backoff::default(),
            callbacks: Callbacks::default(),
        }
    }

    /// Runners kept up whether or not anyone calls. At most `max`; default 0; on a runner always 0.
    pub fn min(mut self, min: u32) -> Self {
        self.min = min;
        self
    }

    /// The most instances at a time, those that boot and those that end among them. At least 1;
    /// default 4.
    pub fn max(mut self, max: u32) -> Self {
        self.max = max;
        self
    }

    /// Calls that one runner serves at a time, 1 to 32,768. Default 100; with
    /// [`single_use`](Self::single_use) always 1.
    pub fn max_concurrency(mut self, calls: u32) -> Self {
        self.max_concurrency = Some(calls);
        self
    }

    /// Each runner serves one call, and ends. Default false. It takes no second one, also not by
    /// [`Pool::at`](crate::Pool::at) for what it holds.
    pub fn single_use(mut self, single_use: bool) -> Self {
        self.single_use = single_use;
        self
    }

    /// The time that a call has in all: queue, boot, run and reply together. `None` is no limit;
    /// zero is refused. Default 30 s; [`Work::timeout`](crate::Work::timeout) sets it for one call.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How long a runner may take from its order to its hello, at least 1 ms. Default: the
    /// backend's, for [`Process`](crate::backend::Process) 10 s.
    pub fn boot_timeout(mut self, timeout: Duration) -> Self {
        self.boot_timeout = Some(timeout);
        self
    }

    /// How long the calls on a runner that is told to end may go on. Zero cancels them at once.
    /// Default 30 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// When a runner without work ends. Zero ends it as soon as it has none. Default after 30 s. An app can add a condition of its
    /// own by [`App::idle_when`](crate::App::idle_when).
    pub fn idle_shutdown_after(mut self, idle: impl Into<Idle>) -> Self {
        self.idle = idle.into();
        self
    }

    /// The same for the runners that make up `min`. Default never.
    pub fn min_idle_shutdown_after(mut self, idle: impl Into<Idle>) -> Self {
        self.min_idle = idle.into();
        self
    }

    /// Calls that may wait for a slot; one more gets [`QueueFull`](crate::CallError::QueueFull).
    /// At least 1; default 10,000.
    pub fn max_queue(mut self, calls: usize) -> Self {
        self.max_queue = calls;
        self
    }

    /// Slots kept free ahead of demand, while `max` allows it. At most the slots of `max` runners;
    /// default 0; on a runner always 0.
    pub fn min_free_slots(mut self, slots: u32) -> Self {
        self.min_free_slots = slots;
        self
    }

    /// Which runner a call goes to. Default [`Placement::Spread`].
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Whether what runners print and log appears in this process's log. Default true.
    ///
    /// Each `tracing` event of a runner, and each line that a child process prints, is an event of
    /// the target `flame::runner`, with the fields `runner`, `call` where it is known, and `from`
    /// (the event's own target) or `stream`. If this process has no `tracing` subscriber, the lines
    /// go to its standard error.
    ///
    /// **Levels.** A runner whose `main` has set no subscriber sends its events with their levels. One
    /// that has set a subscriber prints its events, and the parent reads level and time off: lines of
    /// `tracing_subscriber` (full, compact, pretty, JSON), of `env_logger` and the like, and the
    /// messages of panics, which are errors. Any other line is an INFO event. A line without a time
    /// before its level is never taken for DEBUG or TRACE. Escape sequences, such as those for
    /// colours, are removed.
    ///
    /// **A log that is slow or stuck.** The lines are written by a thread of its own, `flame-log`,
    /// and neither a call nor a child waits for the log: 16 MiB of lines may wait, and what finds
    /// no room is dropped and counted in the log. While 4 MiB wait, the output of children is not
    /// read until 2 MiB are left, for one second at most, so that a child that prints faster than
    /// the log takes is slowed down before anything is dropped. [`Pool::drain`](crate::Pool::drain) and the end of
    /// [`App::run`](crate::App::run) wait for what is queued, as long as something is written at
    /// least once a second, and five seconds at most. The events that the app itself logs still
    /// call its subscriber directly: give it a writer that does not block, such as that of
    /// `tracing_appender`, if standard error may be stuck.
    pub fn log(mut self, log: bool) -> Self {
        self.log = log;
        self
    }

    /// The longest message, in bytes: arguments, or a result. At least 1 KiB; default 1 GiB.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// How deep calls may nest: remote functions that call pools of their own. 1 is no nesting, and
    /// the least; default 8.
    ///
    /// On Lambda a chain of functions that invoke each other is cut at about 16 (AWS documentation,
    /// "Use Lambda recursive loop detection"), unless the function's setting RecursiveLoop is `Allow`:
    /// there a greater depth is not reached.
    pub fn max_depth(mut self, depth: u8) -> Self {
        self.max_depth = depth;
        self
    }

    /// The longest life of a runner, at least 1 ms; then it drains, and another takes its place.
    /// Default none.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = Some(max_lifetime);
        self
    }

    /// How long a lost connection may take to be resumed before the runner is lost. At least 1 ms;
    /// default 60 s, or twice [`keepalive_timeout`](Self::keepalive_timeout) where that is longer.
    ///
    /// Where only one side sees a connection break, the other notices it after `keepalive_timeout`, and only
    /// then a runner dials again. So `reconnect_timeout` must be at least `keepalive_timeout` and the time to come back,
    /// which is half of `keepalive_timeout` again, or 10 s where that is less: no call is lost to such a
    /// break. [`start`](Self::start) refuses less.
    pub fn reconnect_timeout(mut self, reconnect_timeout: Duration) -> Self {
        self.reconnect_timeout = Some(reconnect_timeout);
        self
    }

    /// A connection on which nothing came for so long is given up. Default 30 s, or half of
    /// [`reconnect_timeout`](Self::reconnect_timeout) where that is shorter; 10 ms at least. The other side is pinged every
    /// third of it.
    pub fn keepalive_timeout(mut self, keepalive_timeout: Duration) -> Self {
        self.keepalive_timeout = Some(keepalive_timeout);
        self
    }

    /// Where runners dial in. Default 127.0.0.1 and a free port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// What runners are told to dial, where it is not the listener's own address: `ws://host:port`,
    /// or `wss://host` where a load balancer ends TLS in front of the listener, 384 bytes at most.
    /// Its certificate is checked against those that the runner's system trusts. Default: the listener's address; or,
    /// where it listens on all addresses of the machine, the one that the backend knows of
    /// ([`Backend::address`]).
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Where runners come from. Default [`Process`](crate::backend::Process): child copies of this
    /// executable.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.backend = Some(CatchPanics::wrap(backend));
        self
    }

    #[doc = include_str!("burst.md")]
    pub fn burst(mut self, backend: impl Backend) -> Self {
        self.burst = Some(CatchPanics::wrap(backend));
        self
    }

    /// The most instances of the burst backend at a time. At least 1; default 100. On Lambda each is one
    /// concurrent invocation, of which an account has 1,000 by default (AWS documentation, Lambda
    /// quotas).
    pub fn burst_max(mut self, max: u32) -> Self {
        self.burst_max = max;
        self
    }

    /// Whether a runner of another build fetches this process's executable and becomes it, instead
    /// of failing its boot. Default false.
    ///
    /// For a parent that is deployed ahead of its runners' image, or a laptop's build that calls
    /// containers in which an older one is. Both sides must be of this version of flame-aws: it is
    /// the runner's own build that fetches.
    ///
    /// The runner says hello, is of another build, and gets the executable's length and SHA-256
    /// over the same encrypted connection. It looks into its cache, fetches what is not there (1
    /// GiB at most), checks length and hash, and executes it, with the same process id, arguments
    /// and environment. What its `main` did before [`App::run`](crate::App::run) is done again. A
    /// boot does this once: one that is of another build even then, as by a `FLAME_BUILD_ID` in its
    /// environment, is refused with both ids.
    ///
    /// **What it costs.** [`start`](Self::start) reads and hashes the executable, once for the
    /// process. The first boot on a host sends all of it; each boot of another build hashes what
    /// is in the cache, and starts the app twice. All of it is within
    /// [`boot_timeout`](Self::boot_timeout): raise that for large executables or slow networks. On
    /// the runner's disk the newest three are kept.
    ///
    /// **What must match.** Operating system and architecture, which is checked before anything is
    /// sent; and the C library, which can't be: link statically, or use the same base image. Files
    /// beside the executable are not sent.
    ///
    /// **Where.** On hosts of kind [`Process`](crate::HostKind::Process) and
    /// [`Ecs`](crate::HostKind::Ecs), a backend of one's own included. A function of kind
    /// [`Lambda`](crate::HostKind::Lambda) can't become another program: there another build fails
    /// the boot as ever, and the failure says so. The cache is the folder that `FLAME_CODE_DIR`
    /// names in the runner's environment, or `flame-code-<user id>` among the temporary ones. It is
    /// made with mode 0700; one that another user owns or may write is refused, and one on a file
    /// system that is mounted `noexec` does not do. What goes wrong is a
    /// [`BootFailed`](crate::CallError::BootFailed) that says what to do; the runner ends with exit
    /// code 85.
    ///
    /// **What it means for security.** A runner executes only what comes from the parent whose key
    /// is pinned in its FLAME_PARENT. This option is the parent's: a runner follows the offer of
    /// whoever has booted it. So whoever can start the app with a FLAME_PARENT of his own can have
    /// it run any code, not only its remote functions; who can set a process's environment mostly
    /// can anyway. And whoever has a good token of a pool with this option can read this
    /// executable: keep secrets out of it.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # async fn example() -> Result<(), flame_aws::PoolError> {
    /// let pool = flame_aws::Pool::builder("thumbs")
    ///     .code_sync(true)
    ///     .boot_timeout(Duration::from_secs(60))
    ///     .start()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn code_sync(mut self, sync: bool) -> Self {
        self.code_sync = sync;
        self
    }

    /// The pace of boots after failures: the first pause, at least 1 ms, which doubles up to the
    /// longest. Default 250 ms and 30 s.
    pub fn boot_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = Backoff { first, max: longest, ..self.backoff };
        self
    }

    /// After so many failed boots in a row, at least 1, none is tried for a while, at least 1 ms, and
    /// calls that would need one fail at once. Default 5 and 30 s.
    pub fn boot_breaker(mut self, failures: u32, pause: Duration) -> Self {
        self.backoff = Backoff { breaker_after: failures, breaker_open: pause, ..self.backoff };
        self
    }

    /// Called when a boot begins, with [`PoolEvent::GrowStart`]. Runs in a task of its own: it
    /// can't hold up the pool, and a panic in it is logged and ends it alone.
    pub fn on_grow_start(mut self, f: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Self {
        self.callbacks.grow_start = Some(Box::new(f));
        self
    }

    /// The same when a boot has ended, with [`PoolEvent::GrowEnd`].
    pub fn on_grow_end(mut self, f: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Self {
        self.callbacks.grow_end = Some(Box::new(f));
        self
    }

    /// The same when a runner has gone, with [`PoolEvent::Shrink`] or [`PoolEvent::RunnerLost`].
    pub fn on_shrink(mut self, f: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Self {
        self.callbacks.shrink = Some(Box::new(f));
        self
    }
}
