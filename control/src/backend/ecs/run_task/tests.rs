use std::time::Duration;

use super::*;
use crate::backend::BootFailureKind;
use crate::backend::aws::api_error::ApiErrorKind;
use crate::backend::aws::jittered_backoff;

const SECOND: Duration = Duration::from_secs(1);
const BACKOFF: Backoff = jittered_backoff(SECOND, Duration::from_secs(8));

#[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
fn start() -> Instant {
    Instant::now()
}

fn attempt(now: Instant) -> RunTaskAttempt {
    RunTaskAttempt::new(now + SECOND * 60, BACKOFF)
}

fn task() -> Event {
    Event::Task("task/1".to_owned())
}

fn rejected(code: &str, message: &str) -> Event {
    Event::Error(error(ApiErrorKind::Rejected, Some(code), message), Vec::new())
}

fn no_response() -> Event {
    Event::Error(error(ApiErrorKind::NoResponse, None, "connection reset"), Vec::new())
}

fn error(got: ApiErrorKind, code: Option<&str>, message: &str) -> ApiError {
    let code = code.map(str::to_owned);
    ApiError { code, message: message.to_owned(), ..ApiError::new(got) }
}

fn no_capacity() -> Event {
    let reason = "RESOURCE:FARGATE".to_owned();
    Event::Failures(vec![PlacementFailure { reason, ..PlacementFailure::default() }])
}

fn failed(action: Action) -> BootFailure {
    let Action::Fail(failure) = action else { panic!("{action:?}") };
    failure
}

#[test]
fn a_started_task_ends_the_attempt() {
    let now = start();
    let mut attempt = attempt(now);
    assert_eq!(attempt.begin(), Action::RunTask { token: 0 });
    assert_eq!(attempt.next(now, task(), 0.0), Action::Done("task/1".to_owned()));
}

#[test]
fn throttling_is_retried_with_growing_delays_and_the_same_token() {
    let mut now = start();
    let mut attempt = attempt(now);
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let Action::Wait(until) = attempt.next(now, rejected("ThrottlingException", ""), 1.0)
        else {
            panic!("it is retried")
        };
        pauses.push((until - now).as_secs());
        now = until;
        assert_eq!(attempt.next(now, Event::Waited, 0.0), Action::RunTask { token: 0 });
    }
    assert_eq!(pauses, [1, 2, 4, 8, 8]);
    assert_eq!(attempt.next(now, task(), 0.0), Action::Done("task/1".to_owned()));
}

#[test]
fn throttling_by_ec2_is_retried_in_both_ways() {
    let text = "Error retrieving subnet information for [subnet-1]: Rate exceeded (ErrorCode: \
                Throttling)";
    let now = start();
    let mut attempt = attempt(now);
    let thrown = rejected("InvalidParameterException", text);
    assert!(matches!(attempt.next(now, thrown, 0.0), Action::Wait(_)));
    assert_eq!(attempt.next(now, Event::Waited, 0.0), Action::RunTask { token: 0 });
    // The response says that nothing was started, so the next token is used.
    let listed = PlacementFailure { reason: text.to_owned(), ..PlacementFailure::default() };
    assert!(matches!(attempt.next(now, Event::Failures(vec![listed]), 0.0), Action::Wait(_)));
    assert_eq!(attempt.next(now, Event::Waited, 0.0), Action::RunTask { token: 1 });
}

#[test]
fn a_retry_waits_as_long_as_ecs_asks_for() {
    let now = start();
    let mut attempt = attempt(now);
    let Event::Error(mut error, known) = rejected("ThrottlingException", "") else {
        unreachable!()
    };
    error.retry_after = Some(SECOND * 20);
    let action = attempt.next(now, Event::Error(error.clone(), known.clone()), 0.0);
    assert_eq!(action, Action::Wait(now + SECOND * 20));
    let mut late = RunTaskAttempt::new(now + SECOND * 10, BACKOFF);
    let failure = failed(late.next(now, Event::Error(error, known), 0.0));
    assert_eq!(failure.kind, BootFailureKind::Throttled);
}

#[test]
fn a_request_that_the_rate_limiter_held_back_fails_with_that_reason() {
    let now = start();
    let mut attempt = attempt(now);
    let failure = failed(attempt.next(now, Event::RateLimited, 0.0));
    assert_eq!(failure.kind, BootFailureKind::Throttled);
    assert!(failure.reason.contains("20 tasks a second"), "{failure}");
    let mut ambiguous = self::attempt(now);
    ambiguous.next(now, no_response(), 0.0);
    assert_eq!(ambiguous.next(now, Event::RateLimited, 0.0), Action::LookUp(Vec::new()));
}

#[test]
fn a_failed_look_up_keeps_the_reason_why_run_task_failed() {
    let now = start();
    let mut late = RunTaskAttempt::new(now, BACKOFF);
    late.next(now, no_response(), 0.0);
    let lost = Event::LookUpFailed(error(ApiErrorKind::NoResponse, None, "too late"));
    let failure = failed(late.next(now, lost, 0.0));
    assert_eq!(failure.kind, BootFailureKind::Unavailable);
    assert!(failure.stopped_reason.as_deref().unwrap().contains("connection reset"), "{failure}");
    assert!(failure.reason.contains("too late"), "{failure}");
}

#[test]
fn a_request_without_a_response_is_retried_with_the_same_token() {
    let now = start();
    let mut attempt = attempt(now);
    assert!(matches!(attempt.next(now, no_response(), 0.0), Action::Wait(_)));
    assert_eq!(attempt.next(now, Event::Waited, 0.0), Action::RunTask { token: 0 });
    // The token stays even if there is no capacity now: the first request may have started a task.
    let no_capacity = rejected("ClientException", "Capacity is unavailable at this time.");
    assert!(matches!(attempt.next(now, no_capacity, 0.0), Action::Wait(_)));
    assert_eq!(attempt.next(now, Event::Waited, 0.0), Action::RunTask { token: 0 });
}

#[test]
fn a_request_that_found_no_capacity_is_retried_with_the_next_token() {
    let now = start();
    let mut attempt = attempt(now);
    for token in 1..4 {
        assert!(matches!(attempt.next(now, no_capacity(), 0.0), Action::Wait(_)));
        assert_eq!(attempt.next(now, Event::Waited, 0.0), Action::RunTask { token });
    }
    assert!(matches!(attempt.next(now, no_response(), 0.0), Action::Wait(_)));
    assert_eq!(attempt.next(now, Event::Waited, 0.0), Action::RunTask { token: 3 });
    // A response to the same token ends the ambiguity.
    assert!(matches!(attempt.next(now, no_capacity(), 0.0), Action::Wait(_)));
    assert_eq!(attempt.next(now, Event::Waited, 0.0), Action::RunTask { token: 4 });
}

#[test]
fn a_permanent_error_fails_at_once_with_advice() {
    use BootFailureKind::{Misconfigured, Quota};
    let wrong = [
        ("ClusterNotFoundException", "Cluster not found.", Misconfigured, "`cluster`"),
        ("InvalidParameterException", "Unknown container", Misconfigured, "task definition"),
        ("AccessDeniedException", "not authorized: ecs:RunTask", Misconfigured, "permission"),
        ("ClientException", "limit on the number of vCPUs", Quota, "quota"),
    ];
    for (code, message, kind, advice) in wrong {
        let now = start();
        let failure = failed(attempt(now).next(now, rejected(code, message), 0.0));
        assert!(failure.reason.contains(advice), "{failure}");
        assert_eq!(failure.kind, kind, "{failure}");
        let text = failure.stopped_reason.unwrap();
        assert!(text.contains(code) && text.contains(message), "{text}");
    }
}

#[test]
fn run_task_is_never_called_after_the_deadline_and_the_last_reason_is_kept() {
    let begin = start();
    let mut now = begin;
    let mut attempt = attempt(begin);
    let failure = loop {
        match attempt.next(now, no_capacity(), 0.5) {
            Action::Wait(until) => now = until,
            action => break failed(action),
        }
    };
    assert!(now < begin + SECOND * 60);
    assert!(now > begin + SECOND * 50, "RunTask is retried as long as there is time");
    assert!(failure.reason.contains("capacity provider"), "{failure}");
    assert_eq!(failure.kind, BootFailureKind::Capacity);
    assert_eq!(failure.stopped_reason.as_deref(), Some("RESOURCE:FARGATE"));
}

#[test]
fn an_ambiguous_attempt_is_looked_up_before_it_fails() {
    let now = start();
    let mut late = RunTaskAttempt::new(now, BACKOFF);
    assert_eq!(late.next(now, no_response(), 0.0), Action::LookUp(Vec::new()));
    let found = Event::Found(Some("task/2".to_owned()));
    assert_eq!(late.next(now, found, 0.0), Action::Done("task/2".to_owned()));

    let mut denied = attempt(now);
    denied.next(now, no_response(), 0.0);
    let action = denied.next(now, rejected("ExpiredTokenException", "expired"), 0.0);
    assert_eq!(action, Action::LookUp(Vec::new()));
    let failure = failed(denied.next(now, Event::Found(None), 0.0));
    assert!(failure.reason.contains("credentials"), "{failure}");
}

#[test]
fn a_failed_look_up_says_that_there_may_be_a_task() {
    let now = start();
    let mut late = RunTaskAttempt::new(now, BACKOFF);
    late.next(now, no_response(), 0.0);
    let lost = Event::LookUpFailed(error(ApiErrorKind::NoResponse, None, "connection reset"));
    let failure = failed(late.next(now, lost, 0.0));
    assert!(failure.reason.contains("ends by itself"), "{failure}");
}

#[test]
fn a_conflict_is_looked_up_and_never_retried_with_another_token() {
    let now = start();
    let mut taken = attempt(now);
    let known = vec!["task/9".to_owned()];
    let conflict = Event::Error(
        error(ApiErrorKind::Rejected, Some("ConflictException"), "with different parameters"),
        known.clone(),
    );
    assert_eq!(taken.next(now, conflict, 0.0), Action::LookUp(known));
    let failure = failed(taken.next(now, Event::Found(None), 0.0));
    assert!(failure.stopped_reason.unwrap().contains("ConflictException"));
}

#[test]
fn a_response_with_neither_task_nor_failure_is_a_failure_with_a_reason() {
    let now = start();
    let failure = failed(attempt(now).next(now, Event::Failures(Vec::new()), 0.0));
    assert!(failure.to_string().contains("neither a task"), "{failure}");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// A result of RunTask.
    fn result() -> impl Strategy<Value = Event> {
        let rejections = [
            ("ThrottlingException", ""),
            ("ServerException", ""),
            ("ConflictException", ""),
            ("ClientException", "Capacity is unavailable at this time."),
            ("ClientException", "limit on vCPUs"),
            ("InvalidParameterException", "no"),
        ];
        prop_oneof![
            1 => Just(task()),
            6 => Just(no_response()),
            4 => Just(no_capacity()),
            8 => proptest::sample::select(rejections.to_vec()).prop_map(|(code, text)| {
                rejected(code, text)
            }),
        ]
    }

    /// Whether a result leaves open if the token has started a task.
    fn is_ambiguous(event: &Event) -> bool {
        matches!(event, Event::Error(error, _) if classify::of_error(error) == ErrorClass::Transient)
    }

    fn started_nothing(event: &Event) -> bool {
        let lacks_capacity = |error: &ApiError| classify::of_error(error) == ErrorClass::Capacity;
        matches!(event, Event::Failures(_))
            || matches!(event, Event::Error(error, _) if lacks_capacity(error))
    }

    proptest! {
        #[test]
        fn an_attempt_ends_and_never_risks_a_second_task(
            results in prop::collection::vec(result(), 400),
            jitters in prop::collection::vec(0.0..1.0_f64, 400),
        ) {
            let begin = start();
            let (mut now, mut ambiguous) = (begin, false);
            let mut attempt = attempt(begin);
            let mut action = attempt.begin();
            let mut last_token = 0;
            let mut may_change = false;
            for (event, jitter) in results.into_iter().zip(jitters) {
                match action {
                    Action::RunTask { token } => {
                        prop_assert!(now < begin + SECOND * 60);
                        prop_assert!(token == last_token || may_change);
                        if token != last_token {
                            prop_assert!(!ambiguous, "an ambiguous token is not replaced");
                        }
                        last_token = token;
                        match &event {
                            Event::Failures(_) => ambiguous = false,
                            event => ambiguous |= is_ambiguous(event),
                        }
                        may_change = started_nothing(&event);
                        action = attempt.next(now, event, jitter);
                    }
                    Action::Wait(until) => {
                        prop_assert!(until > now);
                        now = until;
                        action = attempt.next(now, Event::Waited, jitter);
                    }
                    Action::LookUp(_) => {
                        ambiguous = false;
                        action = attempt.next(now, Event::Found(None), jitter);
                    }
                    Action::Done(_) => return Ok(()),
                    Action::Fail(failure) => {
                        prop_assert!(!ambiguous, "an ambiguous attempt does not fail");
                        prop_assert!(!failure.reason.is_empty());
                        return Ok(());
                    }
                }
            }
            prop_assert!(false, "the attempt does not end");
        }
    }
}
