//! Errors of calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::calling::CodecError;

use crate::RunnerRef;
use crate::backend::{BootFailure, BootFailureKind};

#[cfg(test)]
mod tests;

/// What a call was waiting for when its deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeoutPhase {
    /// A free slot: runners were up, but all slots were taken. Or the call was given a slot, and
    /// its future was polled too late to use it.
    Queue,
    /// A runner that boots.
    Boot,
    /// The function.
    Run,
    /// The rest of the result, which had begun to arrive.
    Reply,
}

impl TimeoutPhase {
    /// What helps apart from more time.
    fn other_advice(self) -> &'static str {
        match self {
            TimeoutPhase::Queue => ", or raise the pool's option `max`",
            TimeoutPhase::Boot => ", or keep runners up by the pool's option `min`",
            TimeoutPhase::Run => "; the function may have run in part",
            TimeoutPhase::Reply => "; the function has run",
        }
    }
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

/// Why a call has no result. An error that the function itself returns is not among these: the
/// function's `Result` is the result of the call.
///
/// # What to do
/// Three methods answer the most common questions. [`may_have_run`](Self::may_have_run): may the
/// function have begun? [`is_retryable`](Self::is_retryable): may another call succeed, with no
/// danger that the function runs twice? [`is_timeout`](Self::is_timeout): did the deadline pass?
///
/// | error | `is_timeout` | `may_have_run` | `is_retryable` |
/// |---|---|---|---|
/// | [`Timeout`](Self::Timeout) in phase [`Queue`](TimeoutPhase::Queue) or [`Boot`](TimeoutPhase::Boot) | yes | no | yes |
/// | [`Timeout`](Self::Timeout) in phase [`Run`](TimeoutPhase::Run) or [`Reply`](TimeoutPhase::Reply) | yes | yes | no |
/// | [`BootFailed`](Self::BootFailed) of kind [`Misconfigured`](crate::BootFailureKind::Misconfigured) or [`Rejected`](crate::BootFailureKind::Rejected) | no | no | no |
/// | [`BootFailed`](Self::BootFailed) of another kind | no | no | yes |
/// | [`RunnerLost`](Self::RunnerLost) with `started: false` | no | no | yes |
/// | [`RunnerLost`](Self::RunnerLost) with `started: true` | no | yes | no |
/// | [`Panicked`](Self::Panicked) | no | yes | no |
/// | [`QueueFull`](Self::QueueFull) | no | no | yes |
/// | [`OverBudget`](Self::OverBudget) | no | no | yes |
/// | [`RunnerFull`](Self::RunnerFull) | no | no | yes |
/// | [`TooLong`](Self::TooLong) | no | no | no |
/// | [`Draining`](Self::Draining) | no | no | no |
/// | [`UnknownFunction`](Self::UnknownFunction) | no | no | no |
/// | [`TooLarge`](Self::TooLarge), [`Codec`](Self::Codec) | no | as `started` says | no |
/// | [`MissingState`](Self::MissingState) | no | no | no |
/// | [`Cancelled`](Self::Cancelled) | no | yes | no |
/// | [`DepthExceeded`](Self::DepthExceeded) | no | no | no |
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
///     // It has not run: calling again can't charge twice.
///     Err(error) if error.is_retryable() => {
///         pool.call(charge(7)).await?;
///     }
///     // It may have run in part: only the app knows what that means.
///     Err(error) if error.may_have_run() => eprintln!("check order 7: {error}"),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call's deadline passed. One deadline covers queue, boot, run and reply.
    #[error(
        "the call's deadline of {after:?} passed while {phase}{}: give the call more time by \
         `.timeout(..)`{}", last_boot(boot.as_deref()), phase.other_advice()
    )]
    Timeout {
        /// What the call was waiting for.
        phase: TimeoutPhase,
        /// The time that the call had in all.
        after: Duration,
        /// The last boot that failed, if this is why there was no runner.
        boot: Option<Arc<BootFailure>>,
    },
    /// No runner could be booted for the call. The function did not run.
    #[error("no runner could be booted: {0}")]
    BootFailed(Arc<BootFailure>),
    /// The runner was lost while it had the call.
    #[error(
        "runner {runner} was lost {}: {reason}",
        if *started { "after the call was sent to it, so the function may have run in part" }
        else { "before the call was sent to it, so the function did not run" }
    )]
    RunnerLost {
        /// Whether the function may have begun. If not, calling again is safe.
        started: bool,
        /// The runner.
        runner: RunnerRef,
        /// How it was lost.
        reason: String,
    },
    /// The function panicked. Its runner keeps running.
    #[error("the function panicked{}: {message}", at(location.as_deref()))]
    Panicked {
        /// The message of the panic.
        message: String,
        /// File, line and column.
        location: Option<String>,
        /// The backtrace on the runner.
        backtrace: Option<String>,
    },
    /// The pool's queue is full. The function did not run.
    #[error(
        "the pool's queue is full: {limit} calls wait for a slot; make calls more slowly, or raise \
         the pool's option `max` or `max_queue`"
    )]
    QueueFull {
        /// The pool's `max_queue`.
        limit: usize,
    },
    /// The call needs another runner, for which the pool's budget does not pay. The function did not
    /// run.
    #[error(
        "the pool's budget of {per_hour} USD per hour (by an estimate) pays for no more runners, and \
         no slot is free: call again later, raise the pool's option `budget`, or leave out `refuse`, \
         so that calls wait"
    )]
    OverBudget {
        /// The budget, in US dollars per hour.
        per_hour: f64,
    },
    /// The runner has the largest possible number of calls and channels open. The function did not
    /// run.
    #[error(
        "runner {runner} has {limit} calls and channels open, and takes no more: lower the pool's \
         option `max_concurrency`, use fewer channels per call, or wait until some have ended"
    )]
    RunnerFull {
        /// The runner.
        runner: RunnerRef,
        /// How many can be open at a time. A call counts as one, and so does each channel among its
        /// arguments.
        limit: usize,
    },
    /// The call may take longer than the runners of the pool live. The function did not run.
    #[error(
        "the call may take {after:?}, but the runners of this pool live for at most {limit:?}: give \
         the call less time by `.timeout(..)`, or use a backend whose instances live longer"
    )]
    TooLong {
        /// The time limit of the call.
        after: Duration,
        /// The most time that a call can have on such a runner.
        limit: Duration,
    },
    /// The pool drains, so it takes no more calls. The function did not run.
    #[error("the pool is draining and takes no more calls")]
    Draining,
    /// The runner's executable does not have the function. The function did not run.
    #[error(
        "runner {runner} does not have the function `{function}`: parent and runner are of \
         different builds but have the same build id; check FLAME_BUILD_ID"
    )]
    UnknownFunction {
        /// The function.
        function: &'static str,
        /// The runner.
        runner: RunnerRef,
    },
    /// The arguments or the result are larger than a message may be.
    #[error(
        "{} {size} bytes, more than the {limit} bytes that a message may have: raise the pool's option \
         `max_message`, or put the data into storage that both sides can reach and send its name",
        if *started { "the result has" } else { "the arguments have" }
    )]
    TooLarge {
        /// The size of the arguments or of the result, in bytes.
        size: u64,
        /// The pool's `max_message`.
        limit: u64,
        /// Whether the function may have begun: it has if the result is too large, and has not if
        /// the arguments are.
        started: bool,
    },
    /// The arguments or the result could not be encoded or decoded.
    #[error("the call's arguments or result could not be transferred: {what}")]
    Codec {
        /// Which value it was, and why.
        what: String,
        /// Whether the function may have begun. It has not if the arguments could not be encoded.
        started: bool,
    },
    /// The app was not given a state that the function takes. The function did not run.
    #[error(
        "`{function}` takes `#[state]` of type `{state}`, which this app was not given: add \
         `.state(..)` with a value of that type to `App::new()`, and call remote functions inside \
         `run`"
    )]
    MissingState {
        /// The function.
        function: &'static str,
        /// The type of the state.
        state: String,
    },
    /// The call was cancelled: its child was stopped, or its runner shut down and the call had not
    /// finished within `shutdown_timeout`. The function may have run in part.
    #[error("the call was cancelled while it ran, because its pool or its runner shut down")]
    Cancelled,
    /// Calls are nested too deep. The function did not run.
    #[error(
        "calls are nested more than {limit} deep, so a remote function seems to call itself without \
         end: if this nesting is intended, raise the pool's option `max_depth`"
    )]
    DepthExceeded {
        /// The pool's `max_depth`.
        limit: u8,
    },
}

impl CallError {
    /// Whether the call's deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.answers().is_timeout
    }

    /// Whether the function may have begun on a runner. If `false`, it has not begun and never
    /// will.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.answers().may_have_run
    }

    /// Whether the same call may succeed if it is made again, with no danger that the function runs
    /// twice. The cause may persist, so pause between attempts, and limit their number.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.answers().is_retryable
    }

    /// The row of the table above. The match has no wildcard, so a new variant does not compile
    /// without a row.
    fn answers(&self) -> Answers {
        match self {
            Self::Timeout { phase: TimeoutPhase::Queue | TimeoutPhase::Boot, .. } => {
                Answers { is_timeout: true, ..Answers::RETRYABLE }
            }
            Self::Timeout { phase: TimeoutPhase::Run | TimeoutPhase::Reply, .. } => {
                Answers { is_timeout: true, ..Answers::MAY_HAVE_RUN }
            }
            Self::BootFailed(failure) if may_pass(failure.kind) => Answers::RETRYABLE,
            Self::BootFailed(_) => Answers::FINAL,
            Self::RunnerLost { started: false, .. } => Answers::RETRYABLE,
            Self::QueueFull { .. } | Self::OverBudget { .. } | Self::RunnerFull { .. } => {
                Answers::RETRYABLE
            }
            Self::RunnerLost { started: true, .. }
            | Self::TooLarge { started: true, .. }
            | Self::Codec { started: true, .. } => Answers::MAY_HAVE_RUN,
            Self::Panicked { .. } | Self::Cancelled => Answers::MAY_HAVE_RUN,
            Self::TooLarge { started: false, .. } | Self::Codec { started: false, .. } => {
                Answers::FINAL
            }
            Self::TooLong { .. }
            | Self::Draining
            | Self::UnknownFunction { .. }
            | Self::MissingState { .. }
            | Self::DepthExceeded { .. } => Answers::FINAL,
        }
    }

    pub(crate) fn timeout(phase: TimeoutPhase, after: Option<Duration>) -> Self {
        Self::Timeout { phase, after: after.unwrap_or_default(), boot: None }
    }

    /// The arguments can't be encoded.
    pub(crate) fn arguments(error: CodecError) -> Self {
        match error {
            CodecError::MissingState { function, state } => {
                Self::MissingState { function, state: state.to_owned() }
            }
            error => Self::Codec { what: error.to_string(), started: false },
        }
    }

    /// The result, or an item of a stream, can't be decoded.
    pub(crate) fn result(error: &impl fmt::Display) -> Self {
        Self::Codec { what: error.to_string(), started: true }
    }
}

/// The answers of the three methods for one error.
struct Answers {
    is_timeout: bool,
    may_have_run: bool,
    is_retryable: bool,
}

impl Answers {
    const RETRYABLE: Self = Self { is_timeout: false, may_have_run: false, is_retryable: true };
    const MAY_HAVE_RUN: Self = Self { is_timeout: false, may_have_run: true, is_retryable: false };
    /// The function has not run, and would fail to run in the same way again.
    const FINAL: Self = Self { is_timeout: false, may_have_run: false, is_retryable: false };
}

/// Whether a later boot may succeed although nobody has changed a setting or the build.
const fn may_pass(kind: BootFailureKind) -> bool {
    match kind {
        BootFailureKind::Throttled
        | BootFailureKind::Capacity
        | BootFailureKind::Quota
        | BootFailureKind::Unavailable
        | BootFailureKind::Died
        | BootFailureKind::TimedOut
        | BootFailureKind::Other => true,
        BootFailureKind::Misconfigured | BootFailureKind::Rejected => false,
    }
}

fn last_boot(failure: Option<&BootFailure>) -> String {
    failure.map(|failure| format!(" (the last boot failed: {failure})")).unwrap_or_default()
}

fn at(location: Option<&str>) -> String {
    location.map(|location| format!(" at {location}")).unwrap_or_default()
}
