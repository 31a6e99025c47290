//! The options of a pool, checked once, where it starts.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use flame_link::ServerKey;
use flame_runner_shim::build_id::build_id;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::{Fingerprint, FlameParent, HostKind, MAX_POOL, RunnerLimits};
use flame_wire::token::Token;
use tokio::net::TcpListener;

use super::burst::{Burst, Policy};
use super::callbacks::Callbacks;
use super::driver::{self, Shared};
use super::events::PoolEvent;
use super::state::{Backoff, Limits};
use super::{Placement, Pool};
use crate::app;
use crate::backend::{Backend, PoolInfo, Process};
use crate::code::Code;
use crate::error::PoolError;
use crate::listener::Listener;

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

/// What a pool was started with.
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) timeout: Option<Duration>,
    pub(crate) boot_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) runner: RunnerLimits,
    pub(crate) depth: u8,
    pub(crate) event_buffer: usize,
}

impl Config {
    /// The document that a runner boots with.
    pub(crate) fn flame_parent(
        &self,
        runner: RunnerRef,
        token: Token,
        address: String,
        fingerprint: Fingerprint,
        host: HostKind,
    ) -> FlameParent {
        FlameParent {
            address,
            runner,
            token,
            expires_unix_ms: None,
            fingerprint,
            host,
            pool: self.name.clone(),
            depth: self.depth,
            limits: self.runner.clone(),
        }
    }
}

/// The options of a pool that is to be started; see [`Pool::builder`].
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
    max_concurrency: u32,
    single_use: bool,
    timeout: Option<Duration>,
    boot_timeout: Option<Duration>,
    shutdown_timeout: Duration,
    idle: Idle,
    min_idle: Idle,
    max_queue: usize,
    spare: u32,
    placement: Placement,
    log: bool,
    max_message: u64,
    max_depth: u8,
    lifetime: Option<Duration>,
    grace: Duration,
    silence: Duration,
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
            max_concurrency: 100,
            single_use: false,
            timeout: Some(Duration::from_secs(30)),
            boot_timeout: None,
            shutdown_timeout: Duration::from_secs(30),
            idle: Idle::After(Duration::from_secs(30)),
            min_idle: Idle::Never,
            max_queue: 10_000,
            spare: 0,
            placement: Placement::Spread,
            log: true,
            max_message: 1 << 30,
            max_depth: 8,
            lifetime: None,
            grace: Duration::from_secs(30),
            silence: Duration::from_secs(60),
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

    /// Runners kept up whether or not anyone calls. Default 0; on a runner always 0.
    pub fn min(mut self, min: u32) -> Self {
        self.min = min;
        self
    }

    /// The most instances at a time, those that boot and those that end among them. Default 4.
    pub fn max(mut self, max: u32) -> Self {
        self.max = max;
        self
    }

    /// Calls that one runner serves at a time. Default 100.
    pub fn max_concurrency(mut self, calls: u32) -> Self {
        self.max_concurrency = calls;
        self
    }

    /// Each runner serves one call, and ends. Default false.
    pub fn single_use(mut self, single_use: bool) -> Self {
        self.single_use = single_use;
        self
    }

    /// The time that a call has in all: queue, boot, run and reply together. `None` is no limit.
    /// Default 30 s; [`Work::timeout`](crate::Work::timeout) sets it for one call.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How long a runner may take from its order to its hello. Default: the backend's, for
    /// [`Process`] 10 s.
    pub fn boot_timeout(mut self, timeout: Duration) -> Self {
        self.boot_timeout = Some(timeout);
        self
    }

    /// How long the calls on a runner that is told to end may go on. Default 30 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// When a runner without work ends. Default after 30 s. An app can add a condition of its
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
    /// Default 10,000.
    pub fn max_queue(mut self, calls: usize) -> Self {
        self.max_queue = calls;
        self
    }

    /// Slots kept free ahead of demand, while `max` allows it. Default 0.
    pub fn spare(mut self, slots: u32) -> Self {
        self.spare = slots;
        self
    }

    /// Which runner a call goes to. Default [`Placement::Spread`].
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Whether what runners print and log appears in this process's log. Default true.
    pub fn log(mut self, log: bool) -> Self {
        self.log = log;
        self
    }

    /// The longest message, in bytes: arguments, or a result. Default 1 GiB.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// How deep calls may nest: remote functions that call pools of their own. Default 8.
    pub fn max_depth(mut self, depth: u8) -> Self {
        self.max_depth = depth;
        self
    }

    /// The longest life of a runner; then it drains, and another takes its place. Default none.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// How long a lost connection may take to be resumed before the runner is lost. Default 30 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// A connection on which nothing came for so long is given up. Default 60 s; the other side is
    /// pinged every third of it.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Where runners dial in. Default 127.0.0.1 and a free port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// What runners are told to dial, where it is not the listener's own address: `ws://host:port`,
    /// or `wss://host` where a load balancer ends TLS in front of the listener. Its certificate is
    /// checked against those that the runner's system trusts. Default: the listener's address; or,
    /// where it listens on all addresses of the machine, the one that the backend knows of
    /// ([`Backend::address`]).
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Where runners come from. Default [`Process`]: child copies of this executable.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.backend = Some(Arc::new(backend));
        self
    }

    /// A second backend, for what finds no slot on a runner of the first: it serves a sudden demand
    /// at once, while the first boots for it. New calls then go to the first again, and the burst's
    /// runners idle out. For Lambda above Fargate, above all. Default none.
    ///
    /// A call that may take longer than a burst runner lasts, or that has no time limit of its own
    /// ([`cast`](Pool::cast), [`place_child`](Pool::place_child)), waits for the first backend. So
    /// does each call where the burst can't boot. The options of the pool hold for both, but `min`,
    /// `spare`, `max` ([`burst_max`](Self::burst_max) here) and `boot_timeout`, of which the burst
    /// has its backend's own.
    ///
    /// ```no_run
    /// use flame_aws::Pool;
    /// use flame_aws::backend::{Local, Process};
    ///
    /// # async fn example() -> Result<(), flame_aws::PoolError> {
    /// // The first calls run in this process, and in children as soon as these are up.
    /// let pool = Pool::builder("thumbs").backend(Process::new()).burst(Local::new()).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn burst(mut self, backend: impl Backend) -> Self {
        self.burst = Some(Arc::new(backend));
        self
    }

    /// The most instances of the burst backend at a time. Default 100.
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

    /// The pace of boots after failures: the first pause, which doubles up to the longest.
    /// Default 250 ms and 30 s.
    pub fn boot_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = Backoff { first, max: longest, ..self.backoff };
        self
    }

    /// After so many failed boots in a row none is tried for a while, and calls that would need
    /// one fail at once. Default 5 and 30 s.
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

    /// Starts the pool. Runners boot in the background: see [`Pool::ready`].
    ///
    /// # Errors
    /// [`PoolError`]; nothing was started.
    pub async fn start(mut self) -> Result<Pool, PoolError> {
        // FLAME's runners start their pools empty, too: otherwise each copy would boot copies.
        if app::is_runner() {
            self.min = 0;
            self.spare = 0;
        }
        let depth = app::depth();
        if depth >= self.max_depth {
            return Err(PoolError::DepthExceeded { depth });
        }
        self.check()?;
        let build = build_id().map_err(PoolError::Build)?.clone();
        let backend = self.backend.take().unwrap_or_else(|| Arc::new(Process::new()));
        let listen = |source| PoolError::Listen { address: self.listen.to_string(), source };
        let socket = TcpListener::bind(self.listen).await.map_err(listen)?;
        let address = match &self.advertise {
            Some(address) => address.clone(),
            None => {
                let heard = socket.local_addr().map_err(listen)?;
                // "Every address of this machine" is none that could be dialled.
                let known =
                    if heard.ip().is_unspecified() { backend.address().await } else { None };
                format!("ws://{}", SocketAddr::new(known.unwrap_or(heard.ip()), heard.port()))
            }
        };
        let boot_timeout = *self.boot_timeout.get_or_insert_with(|| backend.boot_timeout());
        let output = super::output::sink(self.log);
        let info = PoolInfo {
            name: self.name.clone(),
            address: address.clone(),
            boot_timeout,
            shutdown_timeout: self.shutdown_timeout,
            lifetime: self.lifetime,
            output: output.clone().into_fn(),
        };
        backend.init(&info).await?;
        if let Some(burst) = &self.burst {
            let info = PoolInfo { boot_timeout: burst.boot_timeout(), ..info.clone() };
            burst.init(&info).await?;
        }
        let code = if self.code_sync { Some(Code::own(&build).await?) } else { None };
        let listener = Listener::new(ServerKey::generate()?, build, code);
        let accepting = tokio::spawn(listener.clone().run(socket));
        let callbacks = std::mem::take(&mut self.callbacks);
        let config = self.config(depth, self.limits(), boot_timeout);
        let shared = Shared::new(config, backend, listener, address, accepting);
        if let Some(backend) = self.burst.take() {
            self.start_burst(&shared, depth, backend);
        }
        output.attach(&shared);
        callbacks.listen(shared.events.subscribe());
        shared.start();
        tokio::spawn(driver::keep_time(shared.clone()));
        Ok(Pool::new(shared))
    }

    fn start_burst(&self, first: &Arc<Shared>, depth: u8, backend: Arc<dyn Backend>) {
        let limits = Limits { min: 0, spare: 0, max: self.burst_max, ..self.limits() };
        let config = self.config(depth, limits, backend.boot_timeout());
        let policy = Policy { longest: backend.longest_call() };
        let pool = first.new_burst(config, backend);
        tokio::spawn(driver::keep_time(pool.clone()));
        // The pool is new: it has none.
        let _ = first.burst.set(Burst { pool, policy });
    }

    fn check(&self) -> Result<(), PoolError> {
        let bad = |option, why: String| Err(PoolError::Option { option, why });
        let must = |option, at_least_one| match at_least_one {
            true => Ok(()),
            false => bad(option, "must be at least 1".to_owned()),
        };
        must("max", self.max >= 1)?;
        must("max_concurrency", self.max_concurrency >= 1)?;
        must("max_queue", self.max_queue >= 1)?;
        must("burst_max", self.burst_max >= 1)?;
        must("max_message", self.max_message >= 1)?;
        must("boot_breaker", self.backoff.breaker_after >= 1)?;
        if self.min > self.max {
            let (min, max) = (self.min, self.max);
            return bad(
                "min",
                format!("is {min}, above `max`, which is {max}: lower it or raise max"),
            );
        }
        if self.name.is_empty() || self.name.len() > MAX_POOL {
            return bad("name", format!("must have 1 to {MAX_POOL} bytes"));
        }
        if self.backoff.first > self.backoff.max {
            return bad("boot_backoff", "has a first pause above the longest".to_owned());
        }
        if self.silence < Duration::from_millis(10) {
            return bad("silence", "must be at least 10 ms".to_owned());
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits {
            min: self.min,
            max: self.max,
            max_concurrency: self.max_concurrency,
            max_queue: self.max_queue,
            spare: self.spare,
            single_use: self.single_use,
            placement: self.placement,
            min_idle_shutdown_after: self.min_idle.limit(),
            boot_backoff: self.backoff,
        }
    }

    fn config(&self, depth: u8, limits: Limits, boot_timeout: Duration) -> Config {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let runner = RunnerLimits {
            // A runner that its parent has given up has nothing left to wait for.
            failsafe_ms: millis(boot_timeout),
            grace_ms: millis(self.grace),
            idle_ms: self.idle.limit().map(millis),
            lifetime_ms: self.lifetime.map(millis),
            shutdown_ms: millis(self.shutdown_timeout),
            ping_ms: millis(self.silence / 3).max(1),
            silence_ms: millis(self.silence),
            max_message: self.max_message,
            max_depth: self.max_depth,
            single_use: self.single_use,
            log: self.log,
            ..RunnerLimits::default()
        };
        Config {
            name: self.name.clone(),
            limits,
            timeout: self.timeout,
            boot_timeout,
            shutdown_timeout: self.shutdown_timeout,
            runner,
            depth: depth.saturating_add(1),
            event_buffer: 1024,
        }
    }
}
