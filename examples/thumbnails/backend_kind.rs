//! The backends that `--backend` offers.

/// Where the copies of this program run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackendKind {
    /// As child processes of this process.
    Process,
    /// As containers of this machine's Docker engine.
    Docker,
    /// As tasks of Amazon ECS, on Fargate.
    Ecs,
    /// As invocations of a Lambda function.
    Lambda,
    /// On Lambda while Fargate tasks boot, then on Fargate.
    Burst,
}

impl std::str::FromStr for BackendKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "process" => Self::Process,
            "docker" => Self::Docker,
            "ecs" => Self::Ecs,
            "lambda" => Self::Lambda,
            "burst" => Self::Burst,
            _ => return Err("--backend must be process, docker, ecs, lambda or burst".to_owned()),
        })
    }
}
