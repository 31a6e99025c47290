//! The app: one `main` for the parent and for its copies.

use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

use flame_runner_shim::boot_variables::boot_variables;
use flame_runner_shim::build_id::build_id;
use flame_runner_shim::calling::{state, table};
use flame_runner_shim::context::{CallContext, process_depth, set_process_depth};
use flame_runner_shim::exit_code::{EXIT_NOT_SYNCED, EXIT_REFUSED};
use flame_runner_shim::host::{Host, ProcessHost};
use flame_runner_shim::runner::{Ended, IdlePredicate, Runner};
use flame_runner_shim::{Connect, lifeline, log, log_writer, panics};
use flame_wire::message::EndReason;
use flame_wire::parent::{FlameParent, HostKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::role::Role;
use crate::error::AppError;

pub(crate) mod copies;
#[cfg(feature = "lambda")]
mod lambda;
pub(crate) mod reached;
mod role;
pub(crate) mod signals;
mod test_harness;

pub use test_harness::{run_test, test};

/// Log records that wait for the link; more are dropped, and the log says how many.
const LOG_BUFFER: usize = 1024;

/// Ten years.
const FOREVER_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

static IDLE: OnceLock<IdlePredicate> = OnceLock::new();

/// Whether this process is a runner: whether it was started with FLAME_PARENT, or, as a Lambda
/// function of runners, with `FLAME_RUNNER=lambda`.
///
/// Ask it where a copy of the app should do less: open fewer connections, skip the web server.
///
/// ```
/// let connections = if flame_aws::is_runner() { 1 } else { 10 };
/// # assert_eq!(connections, 10);
/// ```
#[must_use]
pub fn is_runner() -> bool {
    boot_variables().is_runner()
}

/// Whether this process was started as a runner and does not serve yet. It starts no pools then.
pub(crate) fn is_runner_to_be() -> bool {
    is_runner() && !reached::is()
}

/// How many parents are above this process, and calls above this task.
pub(crate) fn depth() -> u8 {
    let process = process_depth();
    CallContext::current().map_or(process, |call| process.max(call.depth.saturating_add(1)))
}

pub(crate) fn idle_predicate() -> Option<IdlePredicate> {
    IDLE.get().cloned()
}

/// An app whose functions can run in copies of it.
///
/// ```no_run
/// #[derive(Clone)]
/// struct Db;
///
/// # async fn serve() -> Result<(), flame_aws::AppError> { Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), flame_aws::AppError> {
/// // In the parent this runs `serve`; in a runner it serves calls, and the process ends in it.
/// flame_aws::App::new().state(Db).run(serve).await
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "an app does nothing until it is run"]
pub struct App {
    drain_on_signals: bool,
}

impl App {
    /// An app without state.
    pub fn new() -> Self {
        Self::default()
    }

    /// A value for the `#[state]` parameters of its type, in this process; each call gets a clone.
    /// A second value of the same type takes the place of the first.
    pub fn state<T: state::State>(self, value: T) -> Self {
        state::register(value);
        self
    }

    /// A runner without work asks this before it ends; `false` keeps it for another idle time. It
    /// runs on the runner, on a blocking thread, and has 10 s. The first one that is set counts.
    pub fn idle_when(self, may_end: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let _ = IDLE.set(Arc::new(may_end));
        self
    }

    /// Lets SIGINT (Ctrl-C), SIGTERM and SIGHUP drain the pools of this process, for an app that does
    /// not handle these signals itself. Without this they end the app at once, as any process, and
    /// its child copies with it.
    ///
    /// - The **first** signal drains all pools, those that start later included, as
    ///   [`Pool::drain`](crate::Pool::drain) does: calls that wait, and new ones, get
    ///   [`Draining`](crate::CallError::Draining); those under way have their pool's
    ///   `shutdown_timeout` to end. `main` goes on, and should return when its calls have ended: it
    ///   is not ended by the first signal.
    /// - The **second** one ends the pools at once: calls under way get
    ///   [`Cancelled`](crate::CallError::Cancelled). If `main` has not returned 5 s after its
    ///   runners are gone, and at most 25 s after the signal, the process exits with 128 + the
    ///   signal's number.
    /// - A **third** one exits at once, and so does any signal once `main` has returned.
    ///
    /// A signal that the process was started to ignore stays ignored, as SIGHUP does under `nohup`
    /// (on Linux). On Windows it is Ctrl-C alone. In a runner this does nothing: a runner's parent
    /// decides when it ends, and at SIGTERM a runner drains itself.
    ///
    /// ```no_run
    /// # async fn parent() -> Result<(), flame_aws::AppError> { Ok(()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), flame_aws::AppError> {
    /// flame_aws::App::new().drain_on_signals().run(parent).await
    /// # }
    /// ```
    pub fn drain_on_signals(mut self) -> Self {
        self.drain_on_signals = true;
        self
    }

    /// Runs `main`, or, in a runner, serves calls until the runner ends; then the process exits,
    /// and this does not return. After `main` it waits until what runners printed and logged is in
    /// the log, as [`Pool::drain`](crate::Pool::drain) does, and no longer.
    ///
    /// Start pools inside `main`. Before this is called, a pool boots no copies of this process (see
    /// [`Process`](crate::backend::Process)), and in a runner it can't be started at all.
    ///
    /// # Errors
    /// What `main` gives; [`AppError`] where the remote functions of `main`'s crate lack state, or
    /// where this process was started as a runner and can't be one. A process whose FLAME_PARENT or
    /// FLAME_RUNNER is bad is never silently a parent.
    ///
    /// A function of another crate, which the app may never call, may lack its state: then a call of
    /// it is a [`CallError::MissingState`](crate::CallError::MissingState), and takes no runner.
    ///
    /// # On Lambda
    /// With `FLAME_RUNNER=lambda` in its environment, and the feature `lambda`, this serves the
    /// invocations of the function whose `bootstrap` the executable is: each is one runner, and
    /// what the app made before `run`, its state above all, stays warm for the next one.
    pub async fn run<T, E, F, Main>(self, main: Main) -> Result<T, E>
    where
        Main: FnOnce() -> F,
        F: Future<Output = Result<T, E>>,
        E: From<AppError>,
    {
        let drain_on_signals = self.drain_on_signals;
        self.serve_if_runner(table::crate_of(&main)).await?;
        let listening = drain_on_signals.then(signals::listen).transpose();
        let _listening = listening.map_err(AppError::Signals)?;
        reached::set();
        let result = main().await;
        log_writer::global().flush().await;
        result
    }

    /// Serves in a runner, and exits; returns in a parent. The states of the functions of `own_crate`
    /// must be there.
    pub(crate) async fn serve_if_runner(self, own_crate: Option<&str>) -> Result<(), AppError> {
        table::check(own_crate)?;
        match Role::of_this_process()? {
            Role::Parent => Ok(()),
            Role::Runner(text) => match serve(text).await? {},
            #[cfg(feature = "lambda")]
            Role::Lambda => match lambda::serve().await? {},
        }
    }
}

/// Serves as a runner, and exits.
async fn serve(text: &OsStr) -> Result<std::convert::Infallible, AppError> {
    let text = text.to_str().ok_or(AppError::NotText)?;
    let mut parent = FlameParent::decode(text)?;
    let host = host(parent.host).await?;
    // A parent that is gone already needs no runner.
    if lifeline::keep_tied() {
        // It is certain that the parent lives, be it stopped by Ctrl-Z or by a debugger: there is no
        // orphan to be ended. A parent that lives and has given this runner up stops it.
        parent.limits.reconnect_timeout_ms = parent.limits.reconnect_timeout_ms.max(FOREVER_MS);
    }
    panics::install();
    set_process_depth(parent.depth);
    let (records, logs) = mpsc::channel(LOG_BUFFER);
    if parent.limits.log {
        log::install_if_unset(records);
    }
    let (signals, received) = mpsc::unbounded_channel();
    listen_for_signals(signals).map_err(AppError::Signals)?;
    let runner = Runner {
        connect: Connect::Dial { address: parent.address.clone(), fingerprint: parent.fingerprint },
        parent,
        host: host.clone(),
        build: build_id().map_err(AppError::Build)?.clone(),
        idle_predicate: idle_predicate(),
        logs: Some(logs),
        signals: received,
    };
    // What its functions do, they do on a runner that serves.
    reached::set();
    // In a task of its own, since each call wakes it twice: the root of a runtime is woken by way of
    // its driver, or of another thread. The set aborts it where this is dropped.
    let mut life = JoinSet::new();
    life.spawn(runner.run());
    let ended = match life.join_next().await {
        Some(Err(panic)) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
        Some(Ok(ended)) => ended,
        // The runtime ends, and the process with it.
        _ => std::future::pending().await,
    };
    let (reason, code) = match ended {
        Ended::Done { code, reason, .. } => (reason, code),
        Ended::Refused(refusal) => {
            log_writer::print_line(format!("flame-aws: the parent refused this runner: {refusal}"));
            (EndReason::ParentLost, EXIT_REFUSED)
        }
        Ended::NotSynced(error) => {
            log_writer::print_line(format!(
                "flame-aws: this runner can't become its parent's executable: {error}"
            ));
            (EndReason::ParentLost, EXIT_NOT_SYNCED)
        }
        _ => (EndReason::ParentLost, EXIT_REFUSED),
    };
    if ![0, EXIT_REFUSED, EXIT_NOT_SYNCED].contains(&code) {
        log_writer::print_line(format!(
            "flame-aws: the runner ends with exit code {code}: {reason}"
        ));
    }
    // Its last line says the same as the exit code, where its parent keeps the last lines of a child.
    log_writer::global().flush().await;
    host.shutdown(reason, code).await;
    // The host's shutdown of a process does not return.
    std::process::exit(code)
}

/// Where this process is.
async fn host(kind: HostKind) -> Result<Arc<dyn Host>, AppError> {
    match kind {
        HostKind::Process => Ok(Arc::new(ProcessHost)),
        #[cfg(feature = "ecs")]
        HostKind::Ecs => Ok(Arc::new(flame_runner_shim::host::ecs::EcsHost::discover().await?)),
        kind => Err(AppError::Host(kind)),
    }
}

#[cfg(unix)]
fn listen_for_signals(to: mpsc::UnboundedSender<i32>) -> std::io::Result<()> {
    let mut signals = flame_runner_shim::host::TerminationSignals::listen()?;
    tokio::spawn(async move { while to.send(signals.recv().await).is_ok() {} });
    Ok(())
}

#[cfg(not(unix))]
fn listen_for_signals(to: mpsc::UnboundedSender<i32>) -> std::io::Result<()> {
    // Kept open: a runner without signals is not one whose signals are over.
    std::mem::forget(to);
    Ok(())
}
