//! Why this process can't be a runner, or can't go on.

use flame_runner_shim::host::ecs::MetadataError;
use flame_runner_shim::host::lambda::EnvironmentError;
use flame_wire::parent::{HostKind, ParentError};

use crate::supervisor::RuntimeApiError;

/// Why this process can't be a runner, or can't go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(
        "this is the generic runner of flame-aws, and FLAME_PARENT is not set: a pool with \
         `code_sync(true)` starts it, as the program of a process, as the command of an ECS task, \
         or as the `bootstrap` of a Lambda function with FLAME_RUNNER=lambda"
    )]
    NotARunner,
    #[error(
        "FLAME_RUNNER is {0:?}, which is not a kind of runner: set it to `lambda`, or unset it"
    )]
    RunnerKind(String),
    #[error(
        "both FLAME_PARENT and FLAME_RUNNER are set: unset FLAME_PARENT on a Lambda function, and \
         FLAME_RUNNER everywhere else"
    )]
    TwoRunners,
    #[error("FLAME_PARENT is not UTF-8 text: pass on the value that the pool set unchanged")]
    NotText,
    #[error("this process was started as a runner, but its FLAME_PARENT is invalid")]
    Parent(#[from] ParentError),
    #[error("FLAME_PARENT asks for a runner of kind {0}, and a process can't be one")]
    Host(HostKind),
    #[error(transparent)]
    Ecs(#[from] MetadataError),
    #[error(transparent)]
    Lambda(#[from] EnvironmentError),
    #[error(transparent)]
    RuntimeApi(#[from] RuntimeApiError),
    #[error("the runtime of this process can't be started")]
    Runtime(#[source] std::io::Error),
    #[error("this process can't listen for signals, so it could not drain at a signal")]
    Signals(#[source] std::io::Error),
    #[error("the supervisor can't listen on 127.0.0.1, so no process can ask it for invocations")]
    Listen(#[source] std::io::Error),
    #[error("the supervisor can't start this executable once more")]
    Child(#[source] std::io::Error),
}

impl RunError {
    /// Whether the process was not started as a runner.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::NotARunner | Self::RunnerKind(_) | Self::TwoRunners)
    }
}
