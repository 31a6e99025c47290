//! The app: one `main` for the parent and for its runners.

use std::fmt;
use std::sync::Arc;

use flame_runner_shim::boot_variables::boot_variables;
use flame_runner_shim::calling::table;
use flame_runner_shim::context::{CallContext, process_depth};
use flame_runner_shim::log_writer;
use flame_runner_shim::runner::{EndHook, IdlePredicate};
use flame_wire::sync::Mutex;

use self::role::Role;
use self::states::States;
use crate::error::AppError;
use crate::metrics::{AppSinks, Sink};

pub(crate) mod copies;
#[cfg(feature = "lambda")]
mod lambda;
pub(crate) mod reached;
mod role;
mod runner_log;
mod serve;
pub(crate) mod signals;
mod states;
mod test_harness;
#[cfg(test)]
mod tests;

pub use runner_log::runner_log;
pub use test_harness::{run_test, test};

/// The idle predicate of the app that runs in this process.
static IDLE_PREDICATE: Mutex<Option<IdlePredicate>> = Mutex::new(None);
/// The hook that the app in this process has set for the end of a runner.
static END_HOOK: Mutex<Option<EndHook>> = Mutex::new(None);

/// Whether this process is a runner: it was started with FLAME_PARENT in its environment, or as a
/// Lambda function with `FLAME_RUNNER=lambda`.
///
/// Use it where a runner should do less than the parent: open fewer connections, start no web
/// server.
///
/// ```
/// let connections = if flame_aws::is_runner() { 1 } else { 10 };
/// # assert_eq!(connections, 10);
/// ```
#[must_use]
pub fn is_runner() -> bool {
    boot_variables().is_runner()
}

/// Whether this process was started as a runner and does not serve yet. It can't start pools then.
pub(crate) fn is_runner_to_be() -> bool {
    is_runner() && !reached::is_reached()
}

/// The nesting depth of a call that is made here: how many parents this process has above it, or
/// how many calls the current task is nested in, whichever is more.
pub(crate) fn depth() -> u8 {
    let process = process_depth();
    CallContext::current().map_or(process, |call| process.max(call.depth.saturating_add(1)))
}

/// The idle predicate of this process's app, if the app has one and has reached [`App::run`].
pub(crate) fn idle_predicate() -> Option<IdlePredicate> {
    IDLE_PREDICATE.lock().clone()
}

/// The hook of this process's app for the end of a runner.
fn end_hook() -> Option<EndHook> {
    END_HOOK.lock().clone()
}

/// An app whose functions can run in temporary copies of the app.
///
/// Its methods only collect what they are given. [`run`](Self::run) checks and installs it.
///
/// ```no_run
/// #[derive(Clone)]
/// struct Db;
///
/// # async fn serve() -> Result<(), flame_aws::AppError> { Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), flame_aws::AppError> {
/// // In the parent, this runs `serve`. In a runner, it serves calls until the process exits.
/// flame_aws::App::new().state(Db).run(serve).await
/// # }
/// ```
#[derive(Default)]
#[must_use = "an app does nothing until it is run"]
pub struct App {
    states: States,
    /// More than one is an error of `run`.
    idle_predicates: Vec<IdlePredicate>,
    end_hooks: Vec<EndHook>,
    drain_on_signals: bool,
    sinks: AppSinks,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("states", &self.states)
            .field("idle_predicates", &self.idle_predicates.len())
            .field("end_hooks", &self.end_hooks.len())
            .field("drain_on_signals", &self.drain_on_signals)
            .field("sinks", &self.sinks.len())
            .finish()
    }
}

impl App {
    /// An app without state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the app the value for `#[state]` parameters of type `T`. Each call gets a clone of it.
    ///
    /// An app has at most one value of each type: with a second one, [`run`](Self::run) returns
    /// [`AppError::DuplicateState`]. To have two values of one type, wrap one of them in a type of
    /// its own.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.add(value);
        self
    }

    /// Adds a condition to the idle timeout of a runner: an idle runner calls `may_end` before it
    /// shuts down, and stays up for another idle timeout if `may_end` returns `false`.
    ///
    /// `may_end` is called on the runner, on a blocking thread. If it takes longer than 10 s, the
    /// runner stays up as well. An app has one such condition: with a second one,
    /// [`run`](Self::run) returns [`AppError::DuplicateIdlePredicate`].
    pub fn idle_when(mut self, may_end: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.idle_predicates.push(Arc::new(may_end));
        self
    }

    /// Adds work for the end of each runner: when it has served its last call, and before its
    /// process exits. A runner never returns from [`run`](Self::run), so this is the place to send
    /// what the app has collected, such as the spans of a [tracer
    /// provider](crate::guide::observability#a-runners-last-spans). In a Lambda function, the work
    /// runs at the end of each invocation, before Lambda freezes the process.
    ///
    /// `work` runs on a blocking thread of the runner's process. The runner waits for it for 3 s,
    /// or for half of the time until Lambda's deadline if that is less, and then exits. The
    /// runner's parent has all answers by then, and receives no more `tracing` events. If this
    /// method is called more than once, all works run, one after the other.
    ///
    /// The work does not run if the process is killed, nor in a parent, where it has its place
    /// after [`run`](Self::run).
    ///
    /// ```no_run
    /// # async fn parent() -> Result<(), flame_aws::AppError> { Ok(()) }
    /// # fn flush() {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), flame_aws::AppError> {
    /// let result = flame_aws::App::new().on_runner_end(flush).run(parent).await;
    /// flush(); // only a parent comes here
    /// result
    /// # }
    /// ```
    pub fn on_runner_end(mut self, work: impl Fn() + Send + Sync + 'static) -> Self {
        self.end_hooks.push(Arc::new(work));
        self
    }

    /// Makes SIGINT (Ctrl-C), SIGTERM and SIGHUP drain the pools of this process. Use it in an app
    /// that does not handle these signals itself. Without it, such a signal ends the process at
    /// once, as it does any process, and its child processes with it.
    ///
    /// - The **first** signal drains all pools, including those that start later, as
    ///   [`Pool::drain`](crate::Pool::drain) does: calls that wait for a slot and new calls get
    ///   [`Draining`](crate::CallError::Draining); calls that run have their pool's
    ///   `shutdown_timeout` to finish. `main` keeps running, and should return when its calls have
    ///   finished: the first signal does not end it.
    /// - The **second** signal ends the pools at once: calls that run get
    ///   [`Cancelled`](crate::CallError::Cancelled). If `main` has not returned 5 s after the last
    ///   runner is gone, and at the latest 25 s after the signal, the process exits with code
    ///   128 + the signal's number.
    /// - A **third** signal exits at once, and so does any signal after `main` has returned.
    ///
    /// A signal that the process was started to ignore stays ignored (on Linux), as SIGHUP is under
    /// `nohup`. On Windows only Ctrl-C is handled. In a runner this option does nothing: the parent
    /// decides when a runner ends, and a runner that gets SIGTERM drains itself.
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

    /// Sends the metrics of this process's pools to `sink`, in the parent only: see
    /// [`metrics`](crate::metrics). An app can have several sinks.
    ///
    /// The sink is started before [`run`](Self::run) calls its closure. When the closure has
    /// returned, `run` sends the rest, which takes at most ten seconds. A rest that can't be sent is
    /// lost, and the log says so. So drain the pools within the closure.
    ///
    /// ```no_run
    /// use flame_aws::App;
    /// use flame_aws::metrics::Emf;
    ///
    /// # async fn serve() -> Result<(), flame_aws::AppError> { Ok(()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), flame_aws::AppError> {
    /// App::new().metrics(Emf::new("my-app")).run(serve).await
    /// # }
    /// ```
    pub fn metrics(mut self, sink: impl Sink) -> Self {
        self.sinks.add(sink);
        self
    }

    /// In a parent, runs `main` and returns its result. In a runner, serves calls until the runner
    /// ends, and then exits the process: `run` does not return.
    ///
    /// Before it returns, it waits until the lines that runners have printed and logged are in the
    /// log, as [`Pool::drain`](crate::Pool::drain) does.
    ///
    /// Start pools inside `main`. A pool that is started earlier boots no copies of this process
    /// until `run` is called (see [`Process`](crate::backend::Process)). In a runner, a pool can't
    /// be started before `run` at all.
    ///
    /// # Errors
    /// The error that `main` returns; or an [`AppError`] before `main` is called:
    /// - The app was given two values of one state type, or two idle predicates.
    /// - A remote function in the crate of `main` takes a state that the app was not given. A
    ///   function of another crate, which the app may never call, may lack its state. A call of it
    ///   fails with [`CallError::MissingState`](crate::CallError::MissingState) and boots no
    ///   runner.
    /// - An option of a metrics sink is wrong, or the sink can't be set up.
    /// - This process was started as a runner and can't be one. A process whose FLAME_PARENT or
    ///   FLAME_RUNNER is invalid never silently becomes a parent.
    ///
    /// # On Lambda
    /// With the feature `lambda`, and with `FLAME_RUNNER=lambda` in the environment, `run` serves
    /// the invocations of the Lambda function that this executable is the `bootstrap` of. Each
    /// invocation is one runner. Everything that the app has made before `run`, above all its
    /// states, stays warm for the next invocation.
    pub async fn run<T, E, F, Main>(mut self, main: Main) -> Result<T, E>
    where
        Main: FnOnce() -> F,
        F: Future<Output = Result<T, E>>,
        E: From<AppError>,
    {
        let drain_on_signals = self.drain_on_signals;
        let sinks = std::mem::take(&mut self.sinks);
        self.serve_if_runner(table::crate_of(&main)).await?;
        let listening = drain_on_signals.then(signals::listen).transpose();
        let _listening = listening.map_err(AppError::Signals)?;
        let sinks = sinks.start().await.map_err(AppError::Metrics)?;
        reached::mark_reached();
        let result = main().await;
        sinks.flush().await;
        log_writer::global().flush().await;
        result
    }

    /// Installs the states and the idle predicate. Then serves calls and exits in a runner, and
    /// returns in a parent. Fails if a function of `own_crate` takes a state that the app was not
    /// given.
    pub(crate) async fn serve_if_runner(self, own_crate: Option<&str>) -> Result<(), AppError> {
        self.install()?;
        table::check(own_crate).map_err(|error| AppError::Functions(error.into()))?;
        match Role::of_this_process()? {
            Role::Parent => Ok(()),
            Role::Runner(text) => match serve::serve(text).await? {},
            #[cfg(feature = "lambda")]
            Role::Lambda => match lambda::serve().await? {},
        }
    }

    /// Installs the states and the idle predicate in this process. Fails and changes nothing if the
    /// app was given two states of one type, or two idle predicates.
    fn install(self) -> Result<(), AppError> {
        self.states.check()?;
        let mut idle_predicates = self.idle_predicates.into_iter();
        let idle_predicate = idle_predicates.next();
        if idle_predicates.next().is_some() {
            return Err(AppError::DuplicateIdlePredicate);
        }
        self.states.install();
        if idle_predicate.is_some() {
            *IDLE_PREDICATE.lock() = idle_predicate;
        }
        if !self.end_hooks.is_empty() {
            let hooks = self.end_hooks;
            *END_HOOK.lock() = Some(Arc::new(move || hooks.iter().for_each(|work| work())));
        }
        Ok(())
    }
}
