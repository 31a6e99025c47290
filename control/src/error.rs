//! What can go wrong, one enum per operation. Each error says what happened, where, what to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::calling::{CodecError, TableError};
use flame_wire::code::MAX_CODE;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::ParentError;

use crate::backend::{BackendError, BootFailure};

/// Where a call's time went when its deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeoutPhase {
    /// Waiting for a slot: runners were up, all full. Or one was given, and the caller did not poll
    /// its call until it was too late.
    Queue,
    /// Waiting for a runner to boot.
    Boot,
    /// Waiting for the function.
    Run,
    /// Receiving the result.
    Reply,
}

impl fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeoutPhase::Queue => "waiting for a free slot",
            TimeoutPhase::Boot => "waiting for a runner to boot",
            TimeoutPhase::Run => "running",
            TimeoutPhase::Reply => "receiving the result",
        })
    }
}

/// Why a call has no result. The function's own `Result` is not among these: it comes back as
/// itself.
///
/// ```no_run
/// use flame_aws::{CallError, Pool, remote};
///
/// #[remote]
/// async fn charge(order: u64) -> bool {
///     # let _ = order;
///     true
/// }
///
/// # async fn example(pool: Pool) -> Result<(), CallError> {
/// match pool.call(charge(7)).await {
///     Ok(charged) => println!("charged: {charged}"),
///     // Not begun: calling again does no harm.
///     Err(CallError::RunnerLost { started: false, .. }) => {
///         pool.call(charge(7)).await?;
///     }
///     // It may have run in part: only the app knows what that means.
///     Err(CallError::RunnerLost { started: true, runner, reason }) => {
///         eprintln!("look after order 7: {runner} is gone, {reason}");
///     }
///     Err(CallError::Panicked { message, location, .. }) => {
///         eprintln!("it panicked: {message} ({location:?})");
///     }
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call's one deadline passed; it covers queue, boot, run and reply.
    #[error(
        "the call's deadline of {after:?} passed while {phase}{}; give it more by `.timeout(..)`, \
         or the pool more runners", boot.as_ref().map(|b| format!(" (the last boot failed: {b})")).unwrap_or_default()
    )]
    Timeout {
        /// Where the time ran out.
        phase: TimeoutPhase,
        /// The time that the call had in all.
        after: Duration,
        /// The last boot that failed, if it is why no runner was there.
        boot: Option<Arc<BootFailure>>,
    },
    /// No runner could be booted for the call. It was not started.
    #[error("no runner could be booted: {0}")]
    BootFailed(Arc<BootFailure>),
    /// The runner was lost with the call on it.
    #[error(
        "runner {runner} was lost {}: {reason}",
        if *started { "after the call had been sent to it, so it may have run in part" }
        else { "before the call was sent to it, so it did not run" }
    )]
    RunnerLost {
        /// Whether the call may have begun. If not, calling again is safe.
        started: bool,
        /// The runner.
        runner: RunnerRef,
        /// What happened to it.
        reason: String,
    },
    /// The function panicked. The runner goes on.
    #[error("the function panicked{}: {message}", location.as_ref().map(|l| format!(" at {l}")).unwrap_or_default())]
    Panicked {
        /// What it said.
        message: String,
        /// File, line and column.
        location: Option<String>,
        /// The runner's backtrace.
        backtrace: Option<String>,
    },
    /// As many calls wait as may. The call was not started.
    #[error("{limit} calls wait for a slot already: slow down, or raise `max` or `max_queue`")]
    QueueFull {
        /// The pool's `max_queue`.
        limit: usize,
    },
    /// The runner has as many calls and channels open as one can have. The call was not started.
    #[error(
        "{limit} calls and channels are open on runner {runner}, and one takes no more: lower \
         `max_concurrency`, give calls fewer channels, or wait for those to end"
    )]
    RunnerFull {
        /// The runner.
        runner: RunnerRef,
        /// The most that are open at a time; each channel among a call's arguments counts as well.
        limit: usize,
    },
    /// The call may take longer than its pool's runners last. It was not started.
    #[error(
        "the call may take {after:?}, and the pool's runners last {limit:?} at most: give it less \
         time by `.timeout(..)`, or a pool whose backend's instances last longer"
    )]
    TooLong {
        /// The time that the call has in all.
        after: Duration,
        /// The most that a call can have there.
        limit: Duration,
    },
    /// The pool, or the runner, takes no more calls. The call was not started.
    #[error("the pool is draining and takes no more calls")]
    Draining,
    /// The runner's executable lacks the function. The call was not started.
    #[error("runner {runner} does not know `{function}`: it is of another build")]
    UnknownFunction {
        /// The function.
        function: &'static str,
        /// The runner.
        runner: RunnerRef,
    },
    /// The arguments or the result are longer than a message may be.
    #[error(
        "{size} bytes are more than a message may have ({limit}): raise `max_message`, or send a name of the data"
    )]
    TooLarge {
        /// The length.
        size: u64,
        /// The pool's `max_message`.
        limit: u64,
    },
    /// The arguments or the result could not cross.
    #[error("the call could not cross: {what}")]
    Codec {
        /// What was wrong, and why.
        what: String,
        /// The codec's error, where it happened on this side. It says no more than `what`.
        error: Option<CodecError>,
    },
    /// The app has not registered a state that the function takes. The call was not started.
    #[error(
        "`{function}` takes `#[state]` of type `{state}`, which is not registered: add `.state(..)` \
         with a value of that type to `App::new()`, and call remote functions inside `run`"
    )]
    MissingState {
        /// The function.
        function: &'static str,
        /// The state's type.
        state: String,
    },
    /// The call was cancelled: its child was stopped, or its runner ended it when its shutdown
    /// window was over. It may have run in part.
    #[error("the call was cancelled while it ran")]
    Cancelled,
    /// Calls are nested too deep. The call was not started.
    #[error(
        "calls are nested more than {limit} deep: a remote function seems to call itself; if it does \
         not, raise the pool's option `max_depth`"
    )]
    DepthExceeded {
        /// The limit.
        limit: u8,
    },
}

impl From<CodecError> for CallError {
    fn from(error: CodecError) -> Self {
        if let CodecError::MissingState { function, state } = error {
            return CallError::MissingState { function, state: state.to_owned() };
        }
        CallError::Codec { what: error.to_string(), error: Some(error) }
    }
}

/// An option with a value that it can't have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadOption {
    /// The option, by the name of its method.
    pub option: &'static str,
    /// What is wrong, and what to write instead.
    pub why: String,
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.option, self.why)
    }
}

fn also(others: &[BadOption]) -> String {
    others.iter().map(|other| format!("; and its option {other}")).collect()
}

/// Why a pool can't start, or can't be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Options have values that they can't have. Nothing was started or changed.
    #[error("the pool's option `{option}` {why}{}", also(.others))]
    Option {
        /// The option, by the name of its method of [`PoolBuilder`](crate::PoolBuilder); `name` is
        /// the argument of [`Pool::builder`](crate::Pool::builder).
        option: &'static str,
        /// What is wrong, and what to write instead.
        why: String,
        /// The other options that are wrong.
        others: Vec<BadOption>,
    },
    /// The backend lacks something.
    #[error("the backend can't be used")]
    Backend(#[from] BackendError),
    /// The listener that runners dial can't be opened.
    #[error("the listener for runners can't be opened at {address} (the pool's option `listen`)")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The link's key can't be made.
    #[error("the key of the link can't be made")]
    Key(#[from] flame_link::TlsError),
    /// The executable can't be told.
    #[error(transparent)]
    Build(&'static flame_runner_shim::build_id::BuildIdError),
    /// With [`code_sync`](crate::PoolBuilder::code_sync): this executable can't be offered.
    #[error(transparent)]
    Code(#[from] CodeSyncError),
    /// This process was started as a runner, and does not serve yet: its `main` has not reached
    /// [`App::run`](crate::App::run), or went on when that gave an error. Each copy would otherwise
    /// start the pools of its parent, and boot copies of its own.
    #[error(
        "this process is a runner and has not reached `App::run` yet, so it starts no pool: start \
         the pool inside the closure given to `App::run`, which runs in the parent alone, or only \
         if `!flame_aws::is_runner()`. A pool that a remote function needs is started in the \
         function"
    )]
    NotServing,
    /// Pools are nested too deep.
    #[error(
        "pools are nested {depth} deep already: a runner seems to boot runners without end; if it \
         does not, raise the pool's option `max_depth`"
    )]
    DepthExceeded {
        /// How deep this process is.
        depth: u8,
    },
}

impl PoolError {
    /// An error that names all of `wrong`, if there is anything wrong.
    pub(crate) fn of_options(wrong: Vec<BadOption>) -> Result<(), Self> {
        let mut wrong = wrong.into_iter();
        match wrong.next() {
            None => Ok(()),
            Some(BadOption { option, why }) => {
                Err(PoolError::Option { option, why, others: wrong.collect() })
            }
        }
    }
}

/// Why runners can't fetch this process's executable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeSyncError {
    /// It can't be read.
    #[error("this executable can't be read, so `code_sync` can't offer it to runners: {0}")]
    Unreadable(#[source] std::io::Error),
    /// It is too large.
    #[error(
        "this executable has {len} bytes, but `code_sync` sends at most {MAX_CODE}: strip it of its \
         debug information, or leave `code_sync` off"
    )]
    TooLarge {
        /// Its length, in bytes.
        len: u64,
    },
}

/// Why an app can't run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The remote functions, or the state that they need, are not in order.
    #[error(transparent)]
    Table(#[from] TableError),
    /// This process was started as a runner, but FLAME_PARENT is bad.
    #[error("this process was started as a runner, but can't be one")]
    Parent(#[from] ParentError),
    /// FLAME_PARENT is not text.
    #[error("FLAME_PARENT is not UTF-8 text; it is set by the pool that boots a runner, unchanged")]
    NotText,
    /// FLAME_RUNNER is not a kind of runner.
    #[error(
        "FLAME_RUNNER is {0:?}, which is no kind of runner: set it to `lambda` in the environment of \
         a Lambda function whose invocations are to be runners, and unset it everywhere else"
    )]
    RunnerKind(String),
    /// FLAME_RUNNER asks for what this build has not.
    #[error(
        "FLAME_RUNNER=lambda makes this process a runner on Lambda, but it was built without: give \
         its dependency flame-aws the feature `lambda`, and deploy it anew"
    )]
    WithoutLambda,
    /// FLAME_RUNNER and FLAME_PARENT are both set.
    #[error(
        "both FLAME_PARENT and FLAME_RUNNER are set, and each says in its own way that this process \
         is a runner: on a Lambda function unset FLAME_PARENT, everywhere else FLAME_RUNNER"
    )]
    TwoRunners,
    /// Invocations can't be served.
    #[cfg(feature = "lambda")]
    #[error(transparent)]
    Lambda(#[from] flame_runner_shim::host::lambda::EnvironmentError),
    /// The executable can't be told.
    #[error(transparent)]
    Build(&'static flame_runner_shim::build_id::BuildIdError),
    /// Signals can't be listened for.
    #[error("signals can't be listened for")]
    Signals(#[source] std::io::Error),
    /// The kind of host in FLAME_PARENT is not one that this build can be.
    #[error(
        "FLAME_PARENT asks for a runner of kind {0}, which this build of flame-aws is not made for: \
         build the app with the feature of that name"
    )]
    Host(flame_wire::parent::HostKind),
    /// This process was started as a runner on ECS, and can't tell which task it is.
    #[cfg(feature = "ecs")]
    #[error(transparent)]
    Ecs(#[from] flame_runner_shim::host::ecs::MetadataError),
}
