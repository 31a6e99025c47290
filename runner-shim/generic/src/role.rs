//! The role of this process: decided by the variables that it was started with, and never guessed.

use std::ffi::OsStr;

use flame_runner_shim::boot_variables::boot_variables;
use flame_runner_shim::host::RUNNER_ON_LAMBDA;

use crate::error::RunError;

/// The role of this process.
#[derive(Debug)]
pub(crate) enum ProcessRole<'a> {
    /// One runner, with its FLAME_PARENT.
    Process(&'a OsStr),
    /// The supervisor of a Lambda environment.
    Supervisor,
    /// The supervisor's child: one runner for each invocation.
    Invocations,
}

impl ProcessRole<'static> {
    pub(crate) fn of_this_process() -> Result<Self, RunError> {
        let variables = boot_variables();
        Self::of(variables.parent(), variables.runner(), variables.is_supervised())
    }
}

impl<'a> ProcessRole<'a> {
    fn of(
        parent: Option<&'a OsStr>,
        runner: Option<&OsStr>,
        supervised: bool,
    ) -> Result<Self, RunError> {
        match (parent, runner) {
            (None, None) => Err(RunError::NotARunner),
            (Some(parent), None) => Ok(Self::Process(parent)),
            (Some(_), Some(_)) => Err(RunError::TwoRunners),
            (None, Some(kind)) if kind != RUNNER_ON_LAMBDA => {
                Err(RunError::RunnerKind(kind.to_string_lossy().into_owned()))
            }
            (None, Some(_)) if supervised => Ok(Self::Invocations),
            (None, Some(_)) => Ok(Self::Supervisor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(parent: Option<&'static str>, runner: Option<&str>, supervised: bool) -> String {
        match ProcessRole::of(parent.map(OsStr::new), runner.map(OsStr::new), supervised) {
            Ok(role) => format!("{role:?}"),
            Err(error) => {
                assert!(error.is_usage());
                error.to_string()
            }
        }
    }

    #[test]
    fn the_variables_decide_the_role_of_a_process() {
        assert_eq!(role(Some("x"), None, false), "Process(\"x\")");
        assert_eq!(role(None, Some("lambda"), false), "Supervisor");
        assert_eq!(role(None, Some("lambda"), true), "Invocations");
    }

    #[test]
    fn a_process_that_is_not_a_runner_says_how_it_is_started() {
        assert!(role(None, None, false).contains("`code_sync(true)` starts it"));
        assert!(role(None, Some("ecs"), false).contains("\"ecs\""));
        let both = role(Some("secret"), Some("lambda"), false);
        assert!(both.contains("unset FLAME_PARENT") && !both.contains("secret"), "{both}");
    }
}
