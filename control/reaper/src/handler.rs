//! One invocation: a search for orphans, and its response.

use std::time::{Duration, SystemTime};

use flame_aws::backend::{BackendError, EcsReaper, ReaperReport};
use lambda_runtime::Diagnostic;
use serde::Serialize;

use crate::settings::Settings;

/// The time that the requests of an invocation may take, beside the pause.
const TIME_FOR_REQUESTS: Duration = Duration::from_secs(30);

/// Handles the function's events.
pub(crate) struct Handler {
    reaper: EcsReaper,
    pause: Duration,
}

/// The response of an invocation.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    /// How many tasks the cluster has.
    tasks: usize,
    /// How many of them are orphans, including those that are too young to be stopped.
    orphans: usize,
    /// How many orphans were stopped.
    stopped: usize,
    /// Whether some tasks could not be looked at.
    incomplete: bool,
}

/// Why an invocation has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReaperError {
    #[error(
        "the function has {left:?} left, but needs {needed:?} for a pause of {pause:?} and its \
         requests: raise the function's timeout, or lower FLAME_REAPER_PAUSE_SECONDS"
    )]
    TimeoutTooShort { left: Duration, needed: Duration, pause: Duration },
    #[error(transparent)]
    Search(#[from] BackendError),
    #[error(
        "{failed} of {orphans} orphans could not be stopped; the function's log says why, and the \
         next invocation tries again"
    )]
    NotStopped { failed: usize, orphans: usize },
}

impl From<ReaperError> for Diagnostic {
    fn from(error: ReaperError) -> Self {
        let kind = match error {
            ReaperError::TimeoutTooShort { .. } => "TimeoutTooShort",
            ReaperError::Search(_) => "SearchFailed",
            ReaperError::NotStopped { .. } => "NotStopped",
        };
        Self { error_type: kind.to_owned(), error_message: error.to_string() }
    }
}

impl Handler {
    pub(crate) fn new(settings: &Settings) -> Self {
        let reaper = EcsReaper::new(&settings.cluster);
        let reaper = reaper.min_age(settings.min_age).pause(settings.pause);
        Self { reaper, pause: settings.pause }
    }

    /// Handles an event. Lambda ends the invocation at `deadline`.
    pub(crate) async fn handle(&self, deadline: SystemTime) -> Result<Response, ReaperError> {
        check_time_left(deadline.duration_since(wall_clock()).unwrap_or_default(), self.pause)?;
        let report = self.reaper.run().await?;
        tracing::info!(
            tasks = report.tasks,
            orphans = report.orphans,
            stopped = report.stopped,
            failed = report.failed,
            incomplete = report.is_incomplete,
            "looked for orphaned runners"
        );
        response(report)
    }
}

fn check_time_left(left: Duration, pause: Duration) -> Result<(), ReaperError> {
    let needed = pause + TIME_FOR_REQUESTS;
    match left < needed {
        true => Err(ReaperError::TimeoutTooShort { left, needed, pause }),
        false => Ok(()),
    }
}

/// The response to a report. Orphans that could not be stopped are an error, so that an alarm on
/// the function's errors reports them.
fn response(report: ReaperReport) -> Result<Response, ReaperError> {
    let ReaperReport { tasks, orphans, stopped, failed, is_incomplete, .. } = report;
    match failed {
        0 => Ok(Response { tasks, orphans, stopped, incomplete: is_incomplete }),
        _ => Err(ReaperError::NotStopped { failed, orphans }),
    }
}

#[expect(clippy::disallowed_methods, reason = "Lambda states a deadline as a time of day")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_that_is_too_short_for_two_looks_is_an_error_that_says_so() {
        let minute = Duration::from_secs(60);
        assert!(check_time_left(minute * 2, minute).is_ok());
        let error = check_time_left(minute, minute).unwrap_err();
        let diagnostic = Diagnostic::from(error);
        assert_eq!(diagnostic.error_type, "TimeoutTooShort");
        assert!(diagnostic.error_message.contains("needs 90s"), "{}", diagnostic.error_message);
    }

    #[test]
    fn orphans_that_were_not_stopped_fail_the_invocation() {
        let mut report = ReaperReport::default();
        (report.tasks, report.orphans, report.stopped) = (9, 3, 2);
        let response = response(report).unwrap();
        let json = serde_json::to_value(&response).unwrap();
        let expected =
            serde_json::json!({"tasks": 9, "orphans": 3, "stopped": 2, "incomplete": false});
        assert_eq!(json, expected);
        report.failed = 1;
        let error = super::response(report).unwrap_err().to_string();
        assert!(error.contains("1 of 3 orphans"), "{error}");
    }
}
