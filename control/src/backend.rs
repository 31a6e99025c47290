//! Where runners come from.
//!
//! A [`Backend`] boots copies of the app and stops them; all else is the pool's, once for all
//! backends. To write one, read [Implementing a backend](crate::guide).

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flame_link::Io;
use flame_wire::parent::HostKind;
use futures_util::future::BoxFuture;

use crate::error::{BootFailure, BootFailureKind};

#[cfg(any(feature = "ecs", feature = "lambda"))]
#[cfg_attr(not(feature = "ecs"), allow(dead_code, reason = "each backend uses its part"))]
mod aws;
#[cfg(feature = "ecs")]
mod ecs;
pub(crate) mod guarded;
#[cfg(feature = "lambda")]
mod lambda;
mod local;
mod process;

#[cfg(feature = "ecs")]
pub use ecs::{Ecs, EcsBuilder};
#[cfg(feature = "lambda")]
pub use lambda::{Invoked, Lambda, LambdaBuilder};
pub use local::Local;
pub use process::Process;

/// Boots and stops instances of the app.
///
/// To use one is to give it to a pool:
///
/// ```no_run
/// use flame_aws::Pool;
/// use flame_aws::backend::Process;
///
/// # async fn example() -> Result<(), flame_aws::PoolError> {
/// let backend = Process::new().env("ROLE", "runner").args(["--quiet"]);
/// let pool = Pool::builder("thumbs").backend(backend).start().await?;
/// # Ok(())
/// # }
/// ```
///
/// To write one, read the [guide](crate::guide), which has a complete one.
///
/// All methods may be called at the same time from several tasks. Futures may be dropped at any
/// await; that of `remote_boot` is waited for until a minute after the boot timeout, so that no instance
/// is forgotten. A method that panics has failed.
pub trait Backend: Send + Sync + 'static {
    /// What kind of host the instances are; the runner's side asks for it.
    fn kind(&self) -> HostKind;

    /// The default of the pool's `boot_timeout`.
    fn boot_timeout(&self) -> Duration;

    /// The most time that a call can have on an instance, where the platform ends each one after a
    /// fixed time; a call that may take longer is refused. Asked at each call, after `init`.
    /// Default: `None`, no limit.
    fn longest_call(&self) -> Option<Duration> {
        None
    }

    /// The address of this machine that runners can dial, if the backend knows it. Asked once,
    /// before `init`, and only where a pool listens on all addresses and
    /// [`advertise`](crate::PoolBuilder::advertise) is not set. Default: none is known.
    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        Box::pin(std::future::ready(None))
    }

    /// Whether each instance is started as this process was: this executable, with
    /// [`PoolInfo::args`]. Such a copy becomes a runner only where this process reaches
    /// [`App::run`](crate::App::run) itself, so the pool boots none before that: calls get a
    /// [`BootFailed`](crate::CallError::BootFailed) that says what to write. Asked once, at the
    /// start. Default: `false`.
    fn starts_this_executable(&self) -> bool {
        false
    }

    /// Called once, before instances are asked for: check the configuration, fail early, name what is missing.
    ///
    /// # Errors
    /// [`BackendError`]; the pool does not start.
    fn init<'a>(&'a self, pool: &'a PoolInfo) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Starts one copy of the app with FLAME_PARENT set to [`BootSpec::flame_parent`], and returns
    /// as soon as the platform has taken the order. That the copy dials home is the pool's to see.
    ///
    /// # Errors
    /// [`BootFailure`], if no instance was made. An instance that was made must be returned.
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>>;

    /// Stops the instance, at once if need be. Idempotent: stopping what is gone is no error.
    ///
    /// # Errors
    /// [`BackendError`]; the pool tries again a few times, and then reports it.
    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Completes when the instance has died, for whatever reason, also when it was stopped.
    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death>;

    /// What the instance has said on its link: for a platform that does not tell by itself what
    /// became of an order, or when an instance ends. Must not block. Default: nothing is done.
    fn heard(&self, _instance: &Instance, _what: Heard) {}
}

/// What a backend is told of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// It has dialled home: it lives.
    Hello,
    /// It has said goodbye, and its link is over: it is about to end.
    Goodbye,
}

/// What a backend learns of the pool that it serves.
#[derive(Clone)]
#[non_exhaustive]
pub struct PoolInfo {
    /// The pool's name.
    pub name: String,
    /// What runners are told to dial: `ws://host:port`.
    pub address: String,
    /// From the order of an instance to its hello.
    pub boot_timeout: Duration,
    /// How long a runner that must end may take to finish its calls.
    pub shutdown_timeout: Duration,
    /// The longest life of a runner, if it is limited.
    pub max_lifetime: Option<Duration>,
    /// The arguments, without the program's name, with which a copy of this executable reaches
    /// [`App::run`](crate::App::run): those of this process, or, in a
    /// [`test`](macro@crate::test), those that select the test.
    pub args: Vec<OsString>,
    /// Takes the lines that instances print. Never blocks: lines that the log has no room for are
    /// dropped and counted, and the log says how many.
    pub output: Arc<dyn Fn(OutputLine) + Send + Sync>,
    /// Whether these lines are logged at all.
    pub(crate) log: bool,
}

impl fmt::Debug for PoolInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolInfo")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A line that an instance printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputLine {
    /// The runner.
    pub runner: flame_wire::ids::RunnerRef,
    /// Where it was printed.
    pub stream: OutputStream,
    /// The line, without its end.
    pub line: String,
}

/// One of the two streams that a process prints to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One boot, as the pool asks for it.
#[derive(Clone)]
#[non_exhaustive]
pub struct BootSpec {
    /// The runner, unique; a good idempotency token.
    pub runner: flame_wire::ids::RunnerRef,
    /// The value of FLAME_PARENT. A secret until the runner has dialled home: it belongs into the
    /// environment, never into arguments or logs.
    pub flame_parent: String,
    /// For a runner within this process: opens a socket to the pool's listener.
    pub in_memory: Arc<dyn Fn() -> BoxFuture<'static, std::io::Result<Io>> + Send + Sync>,
}

impl fmt::Debug for BootSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootSpec").field("runner", &self.runner).finish_non_exhaustive()
    }
}

/// What a backend booted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Instance {
    /// The backend's name of it: `pid-1234`, a task ARN, a request id.
    pub id: String,
}

impl Instance {
    /// An instance of that name.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into() }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Death {
    /// What sort of boot failure it is, where it was no runner yet. Default
    /// [`Died`](BootFailureKind::Died).
    pub kind: BootFailureKind,
    /// What happened, for people.
    pub reason: String,
    /// What the platform says.
    pub stopped_reason: Option<String>,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// The last lines that it printed, oldest first.
    pub log_tail: Vec<String>,
}

impl Death {
    /// A death with nothing but a reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            kind: BootFailureKind::Died,
            reason: reason.into(),
            stopped_reason: None,
            exit_code: None,
            log_tail: Vec::new(),
        }
    }
}

/// In a line, without what it printed.
impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::error::end(f, &self.reason, self.exit_code, self.stopped_reason.as_deref())
    }
}

impl From<Death> for BootFailure {
    fn from(death: Death) -> Self {
        let Death { kind, reason, stopped_reason, exit_code, log_tail } = death;
        BootFailure { kind, reason, stopped_reason, exit_code, log_tail }
    }
}

/// A backend can't do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
#[non_exhaustive]
pub struct BackendError {
    /// What happened, and what to do.
    pub what: String,
}

impl BackendError {
    /// An error that says so.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}
