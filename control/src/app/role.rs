//! What this process is: decided from two variables that it was started with, and never guessed.
//!
//! | FLAME_PARENT | FLAME_RUNNER | it is |
//! |---|---|---|
//! | | | a parent |
//! | set | | a runner, booted with it |
//! | | `lambda` | a runner for each invocation of its Lambda function |
//! | set | set | an error |
//! | | else | an error |
//!
//! A Lambda function has variables of Lambda's own, and may yet be a parent: they say nothing.

use std::ffi::OsStr;

use flame_runner_shim::boot_variables::boot_variables;
use flame_runner_shim::host::RUNNER_ON_LAMBDA;

use crate::error::AppError;

/// What a process is to this crate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    Parent,
    /// One runner, with its FLAME_PARENT.
    Runner(&'a OsStr),
    /// One runner after the other.
    #[cfg(feature = "lambda")]
    Lambda,
}

impl<'a> Role<'a> {
    fn of(parent: Option<&'a OsStr>, runner: Option<&OsStr>) -> Result<Self, AppError> {
        match (parent, runner) {
            (None, None) => Ok(Role::Parent),
            (Some(parent), None) => Ok(Role::Runner(parent)),
            (Some(_), Some(_)) => Err(AppError::TwoRunners),
            (None, Some(kind)) if kind == RUNNER_ON_LAMBDA => Self::on_lambda(),
            (None, Some(kind)) => Err(AppError::RunnerKind(kind.to_string_lossy().into_owned())),
        }
    }

    #[cfg(feature = "lambda")]
    fn on_lambda() -> Result<Self, AppError> {
        Ok(Role::Lambda)
    }

    #[cfg(not(feature = "lambda"))]
    fn on_lambda() -> Result<Self, AppError> {
        Err(AppError::WithoutLambda)
    }
}

impl Role<'static> {
    /// That of this process.
    pub(crate) fn of_this_process() -> Result<Self, AppError> {
        Self::of(boot_variables().parent(), boot_variables().runner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role<'a>(parent: Option<&'a str>, runner: Option<&str>) -> Result<Role<'a>, AppError> {
        Role::of(parent.map(OsStr::new), runner.map(OsStr::new))
    }

    fn refused(parent: Option<&str>, runner: Option<&str>) -> String {
        role(parent, runner).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_process_is_what_it_was_started_as() {
        assert_eq!(role(None, None).unwrap(), Role::Parent);
        assert_eq!(role(Some("flame1.x"), None).unwrap(), Role::Runner(OsStr::new("flame1.x")));
    }

    #[cfg(feature = "lambda")]
    #[test]
    fn a_lambda_function_is_a_runner_only_if_it_is_told_so() {
        assert_eq!(role(None, Some("lambda")).unwrap(), Role::Lambda);
    }

    #[cfg(not(feature = "lambda"))]
    #[test]
    fn a_build_without_lambda_says_so() {
        assert!(refused(None, Some("lambda")).contains("feature `lambda`"));
    }

    #[test]
    fn another_kind_of_runner_is_refused_and_never_a_parent() {
        for kind in ["", "Lambda", "LAMBDA", "ecs", "1", "true"] {
            let error = refused(None, Some(kind));
            assert!(error.contains(&format!("{kind:?}")) && error.contains("`lambda`"), "{error}");
        }
    }

    #[test]
    fn a_process_can_not_be_told_twice_what_it_is() {
        for kind in ["lambda", "ecs"] {
            let error = refused(Some("flame1.x"), Some(kind));
            assert!(error.contains("FLAME_PARENT") && error.contains("unset"), "{error}");
            assert!(!error.contains("flame1.x"), "{error}");
        }
    }
}
