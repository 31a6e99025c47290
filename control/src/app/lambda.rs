//! The bootstrap of a Lambda function: one process that is one runner after another.

use flame_runner_shim::boot_variables::boot_variables;
use flame_runner_shim::build_id::build_id;
use flame_runner_shim::exit_code::{EXIT_OK, EXIT_WORK_ABORTED};
use flame_runner_shim::host::lambda::{Environment, EnvironmentEnd, EnvironmentError};
use flame_runner_shim::host::termination_signals;
use flame_runner_shim::{log, log_writer, panics};

use super::{end_hook, idle_predicate, reached, runner_log};
use crate::error::AppError;

/// Serves invocations, and then exits.
pub(super) async fn serve() -> Result<std::convert::Infallible, AppError> {
    panics::install();
    let log = runner_log::sink();
    log::install_if_unset(log.clone());
    let signals = termination_signals().map_err(AppError::Signals)?;
    // Computed now, so that the first runner does not wait for it.
    let build = build_id().map_err(|error| AppError::Build(error.into()))?.clone();
    let (idle_predicate, end_hook) = (idle_predicate(), end_hook());
    let environment = Environment { build, idle_predicate, end_hook, log, signals };
    Environment::check().map_err(not_served)?;
    reached::mark_reached();
    let (why, code) = match environment.serve().await.map_err(not_served)? {
        EnvironmentEnd::FunctionsStillRunning => {
            ("a plain function of a runner that has ended still runs", EXIT_WORK_ABORTED)
        }
        _ => ("it was asked to end", EXIT_OK),
    };
    // A supervisor starts another process in the same environment.
    let supervised = boot_variables().is_supervised();
    let what = if supervised { "this process" } else { "this Lambda environment" };
    log_writer::print_line(format!("flame-aws: {what} ends: {why}"));
    log_writer::global().flush().await;
    std::process::exit(code)
}

fn not_served(error: EnvironmentError) -> AppError {
    AppError::Lambda(error.into())
}
