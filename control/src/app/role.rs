//! The role of this process: decided by the two variables that it was started with, and never
//! guessed.
//!
//! | FLAME_PARENT | FLAME_RUNNER | this process is |
//! |---|---|---|
//! | | | a parent |
//! | set | | a runner |
//! | | `lambda` | a runner for each invocation of its Lambda function |
//! | set | set | an error |
//! | | any other value | an error |
//!
//! The variables that Lambda itself sets do not count: a parent may run in a Lambda function as
//! well.

use std::ffi::OsStr;

use flame_runner_shim::boot_variables::boot_variables;
use flame_runner_shim::host::RUNNER_ON_LAMBDA;

use crate::error::AppError;

/// The role of a process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    Parent,
    /// A runner, with its FLAME_PARENT.
    Runner(&'a OsStr),
    /// One runner after another: each invocation of a Lambda function is one.
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
    /// The role of this process.
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

    fn rejected(parent: Option<&str>, runner: Option<&str>) -> String {
        role(parent, runner).expect_err("it is rejected").to_string()
    }

    #[test]
    fn the_variables_decide_the_role_of_a_process() {
        assert_eq!(role(None, None).unwrap(), Role::Parent);
        assert_eq!(role(Some("flame1.x"), None).unwrap(), Role::Runner(OsStr::new("flame1.x")));
    }

    #[cfg(feature = "lambda")]
    #[test]
    fn a_lambda_function_is_a_runner_if_the_variable_says_so() {
        assert_eq!(role(None, Some("lambda")).unwrap(), Role::Lambda);
    }

    #[cfg(not(feature = "lambda"))]
    #[test]
    fn a_build_without_the_feature_lambda_rejects_the_variable() {
        assert!(rejected(None, Some("lambda")).contains("feature `lambda`"));
    }

    #[test]
    fn an_unknown_kind_of_runner_is_an_error_and_never_a_parent() {
        for kind in ["", "Lambda", "LAMBDA", "ecs", "1", "true"] {
            let error = rejected(None, Some(kind));
            assert!(error.contains(&format!("{kind:?}")) && error.contains("`lambda`"), "{error}");
        }
    }

    #[test]
    fn both_variables_at_once_are_an_error() {
        for kind in ["lambda", "ecs"] {
            let error = rejected(Some("flame1.x"), Some(kind));
            assert!(error.contains("FLAME_PARENT") && error.contains("unset"), "{error}");
            assert!(!error.contains("flame1.x"), "{error}");
        }
    }
}
