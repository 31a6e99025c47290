//! Errors of `App::run`.

use super::InnerError;
use crate::HostKind;

/// Why an app can't run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The app was given two values of one state type.
    #[error(
        "the app was given two states of type `{state}`, and a `#[state]` parameter could mean \
         either: remove one `.state(..)`, or wrap one value in a type of its own, as in \
         `struct Replica(Db);`"
    )]
    DuplicateState {
        /// The name of the type.
        state: &'static str,
    },
    /// The app was given two idle predicates.
    #[error(
        "`App::idle_when` was called twice, and a runner asks only one predicate: join the \
         conditions in one closure, as in `.idle_when(|| first() && second())`"
    )]
    DuplicateIdlePredicate,
    /// A remote function lacks a state, or two remote functions can't be told apart. The text names
    /// the functions and their source locations.
    #[error(transparent)]
    Functions(InnerError),
    /// This process was started as a runner, but FLAME_PARENT is invalid.
    #[error("this process was started as a runner, but its FLAME_PARENT is invalid")]
    Parent(#[source] InnerError),
    /// FLAME_PARENT is not UTF-8.
    #[error(
        "FLAME_PARENT is not UTF-8 text: pass the value that the pool set on to the runner \
         unchanged, or unset it to start a parent"
    )]
    NotText,
    /// FLAME_RUNNER has an unknown value.
    #[error(
        "FLAME_RUNNER is {0:?}, which is not a kind of runner: set it to `lambda` in the \
         environment of a Lambda function whose invocations are runners, and unset it everywhere \
         else"
    )]
    RunnerKind(String),
    /// FLAME_RUNNER is `lambda`, but this build does not support Lambda.
    #[error(
        "FLAME_RUNNER=lambda makes this process a runner on Lambda, but it was built without \
         support for Lambda: enable the feature `lambda` of flame-aws and deploy the app again"
    )]
    WithoutLambda,
    /// FLAME_RUNNER and FLAME_PARENT are both set.
    #[error(
        "both FLAME_PARENT and FLAME_RUNNER are set, and each makes this process a runner of a \
         different kind: unset FLAME_PARENT on a Lambda function, and FLAME_RUNNER everywhere else"
    )]
    TwoRunners,
    /// This process can't serve invocations on Lambda.
    #[cfg(feature = "lambda")]
    #[error(transparent)]
    Lambda(InnerError),
    /// The build id of this executable can't be determined.
    #[error(transparent)]
    Build(InnerError),
    /// The operating system does not let this process listen for signals.
    #[error("this process can't listen for signals, so it could not drain at a signal")]
    Signals(#[source] std::io::Error),
    /// A metrics sink can't be started.
    #[error(transparent)]
    Metrics(crate::metrics::SinkError),
    /// FLAME_PARENT asks for a runner on a host that this build does not support.
    #[error(
        "FLAME_PARENT asks for a runner of kind {0}, which this build does not support: build the \
         app with the flame-aws feature of that name"
    )]
    Host(HostKind),
    /// This process was started as a runner on ECS, but can't find out which ECS task it is in.
    #[cfg(feature = "ecs")]
    #[error(transparent)]
    Ecs(InnerError),
}
