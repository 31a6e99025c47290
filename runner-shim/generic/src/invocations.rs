//! The supervisor's child before it becomes an app: each invocation that it is given is a runner.

use std::process::ExitCode;

use flame_runner_shim::exit_code::{EXIT_OK, EXIT_WORK_ABORTED};
use flame_runner_shim::host::lambda::{Environment, EnvironmentEnd};
use flame_runner_shim::host::termination_signals;
use flame_runner_shim::log::LogSink;

use crate::error::RunError;
use crate::{build, exit_code};

/// Serves invocations. Returns only if this process does not become a parent's executable.
pub(crate) async fn serve() -> Result<ExitCode, RunError> {
    let environment = Environment {
        build: build(),
        idle_predicate: None,
        end_hook: None,
        log: LogSink::default(),
        signals: termination_signals().map_err(RunError::Signals)?,
    };
    let code = match environment.serve().await? {
        EnvironmentEnd::FunctionsStillRunning => EXIT_WORK_ABORTED,
        _ => EXIT_OK,
    };
    Ok(exit_code(code).await)
}
