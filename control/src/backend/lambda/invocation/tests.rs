use flame_runner_shim::host::lambda::InvocationResponse;
use flame_wire::hello::Rejection as RejectReason;
use flame_wire::message::EndReason;
use proptest::prelude::*;

use super::super::super::aws::api_error::{ApiError, ApiErrorKind};
use super::*;

const BOOT: Duration = Duration::from_secs(30);

/// An invocation and its clock.
struct Fixture {
    now: Instant,
    invocation: Invocation,
}

impl Fixture {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
        let now = Instant::now();
        let mut fixture =
            Self { now, invocation: Invocation::new(now, "f", BOOT, "it ends by itself") };
        assert_eq!(fixture.actions(), [Action::Invoke]);
        fixture
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.invocation.poll_action()).collect()
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        self.invocation.handle(self.now, event);
        self.actions()
    }

    /// Advances the clock to the next timer, and handles it.
    fn fire_timer(&mut self) -> Vec<Action> {
        self.now = self.invocation.poll_timeout().expect("a timer is set");
        self.invocation.handle_timeout(self.now);
        self.actions()
    }
}

fn response(answer: &InvocationResponse) -> Event {
    Event::Responded(InvokeResponse {
        status: 200,
        function_error: None,
        payload: serde_json::to_vec(answer).unwrap(),
        log: Vec::new(),
        request_id: None,
    })
}

fn ended() -> Event {
    response(&InvocationResponse::Ended {
        reason: EndReason::Idle,
        code: 0,
        calls: 1,
        still_running: 0,
    })
}

fn duplicate() -> Event {
    response(&InvocationResponse::Rejected { rejection: RejectReason::UsedToken })
}

fn queued() -> Event {
    let Event::Responded(response) = ended() else { unreachable!() };
    Event::Responded(InvokeResponse { status: 202, ..response })
}

fn failed(kind: ApiErrorKind, code: Option<&str>, status: Option<u16>) -> Event {
    let code = code.map(str::to_owned);
    let error = ApiError { code, message: "text".to_owned(), status, ..ApiError::new(kind) };
    Event::Failed(InvokeFailure { error, throttle: None }, 1.0)
}

fn throttled() -> Event {
    failed(ApiErrorKind::Rejected, Some("TooManyRequestsException"), Some(429))
}

fn no_response() -> Event {
    failed(ApiErrorKind::NoResponse, None, None)
}

fn denied() -> Event {
    failed(ApiErrorKind::Rejected, Some("AccessDeniedException"), Some(403))
}

fn reason(actions: &[Action]) -> &str {
    match actions {
        [Action::ReportDeath(death)] => &death.reason,
        actions => panic!("{actions:?}"),
    }
}

#[test]
fn the_response_is_the_death() {
    let mut fixture = Fixture::new();
    assert!(fixture.handle(Event::Instance(InstanceEvent::Connected)).is_empty());
    assert!(fixture.handle(Event::Instance(InstanceEvent::Exiting)).is_empty());
    assert!(reason(&fixture.handle(ended())).contains("it was idle"));
}

#[test]
fn a_throttled_request_is_retried_and_may_then_succeed() {
    let mut fixture = Fixture::new();
    for _ in 0..3 {
        assert!(fixture.handle(throttled()).is_empty());
        assert_eq!(fixture.fire_timer(), [Action::Invoke]);
    }
    assert!(reason(&fixture.handle(ended())).contains("it was idle"));
}

#[test]
fn endless_throttling_fails_before_the_boot_timeout() {
    let mut fixture = Fixture::new();
    let begun = fixture.now;
    let mut attempts = 1;
    let actions = loop {
        let actions = fixture.handle(throttled());
        if !actions.is_empty() {
            break actions;
        }
        assert_eq!(fixture.fire_timer(), [Action::Invoke]);
        attempts += 1;
    };
    assert!(reason(&actions).contains(&format!("{attempts} times")), "{actions:?}");
    assert!(fixture.now - begun <= BOOT / 3 * 2, "the boot timeout is not over");
    assert!((5..20).contains(&attempts), "{attempts}");
}

#[test]
fn a_retry_waits_as_long_as_lambda_asks_for() {
    let retry_after = |seconds| {
        let Event::Failed(mut failure, jitter) = throttled() else { unreachable!() };
        failure.error.retry_after = Some(Duration::from_secs(seconds));
        Event::Failed(failure, jitter)
    };
    let mut fixture = Fixture::new();
    let begun = fixture.now;
    assert!(fixture.handle(retry_after(7)).is_empty());
    assert_eq!(fixture.fire_timer(), [Action::Invoke]);
    assert_eq!(fixture.now - begun, Duration::from_secs(7));
    // The delay ends after the boot timeout.
    assert!(reason(&fixture.handle(retry_after(3_600))).contains("did not run"));
}

#[test]
fn a_foreign_response_is_retried_only_if_the_error_may_pass() {
    let mut fixture = Fixture::new();
    let reason = reason(&fixture.handle(failed(ApiErrorKind::Foreign, None, Some(501)))).to_owned();
    assert!(reason.contains("HTTP 501"), "{reason}");
    assert!(!reason.contains("no response") && !reason.contains("Lambda rejected"), "{reason}");
    let mut fixture = Fixture::new();
    assert!(fixture.handle(failed(ApiErrorKind::Foreign, None, Some(503))).is_empty());
    assert_eq!(fixture.fire_timer(), [Action::Invoke]);
    assert!(
        self::reason(&fixture.handle(failed(ApiErrorKind::Foreign, None, Some(503))))
            .contains("HTTP 503")
    );
}

#[test]
fn a_permanent_error_is_not_retried() {
    let mut fixture = Fixture::new();
    assert!(reason(&fixture.handle(denied())).contains("lambda:InvokeFunction"));
}

#[test]
fn a_request_without_a_response_is_repeated_once() {
    let mut fixture = Fixture::new();
    assert!(fixture.handle(no_response()).is_empty());
    assert_eq!(fixture.fire_timer(), [Action::Invoke]);
    assert!(reason(&fixture.handle(ended())).contains("it was idle"));
}

#[test]
fn two_requests_without_a_response_are_a_failure() {
    let mut fixture = Fixture::new();
    fixture.handle(no_response());
    fixture.fire_timer();
    assert!(reason(&fixture.handle(no_response())).contains("did not respond"));
}

#[test]
fn throttling_in_between_allows_no_third_request_without_a_response() {
    let mut fixture = Fixture::new();
    fixture.handle(no_response());
    fixture.fire_timer();
    assert!(fixture.handle(throttled()).is_empty());
    assert_eq!(fixture.fire_timer(), [Action::Invoke]);
    assert!(reason(&fixture.handle(no_response())).contains("did not respond"));
}

#[test]
fn a_request_whose_runner_has_said_hello_is_not_repeated() {
    let mut fixture = Fixture::new();
    assert!(fixture.handle(no_response()).is_empty());
    assert!(fixture.handle(Event::Instance(InstanceEvent::Connected)).is_empty());
    assert_eq!(fixture.invocation.poll_timeout(), None);
    assert!(reason(&fixture.handle(Event::Instance(InstanceEvent::Exiting))).contains("goodbye"));
}

#[test]
fn the_event_is_needed_until_no_request_can_follow() {
    for end in [Event::Instance(InstanceEvent::Connected), Event::Stop, queued(), duplicate()] {
        let mut fixture = Fixture::new();
        assert!(fixture.invocation.may_invoke(), "the request may be repeated");
        fixture.handle(end);
        assert!(!fixture.invocation.may_invoke());
    }
    let mut throttled_once = Fixture::new();
    throttled_once.handle(throttled());
    assert!(throttled_once.invocation.may_invoke(), "it backs off");
}

#[test]
fn a_response_lost_while_the_runner_serves_is_not_its_death() {
    for lost in [no_response(), throttled(), denied()] {
        let mut fixture = Fixture::new();
        fixture.handle(Event::Instance(InstanceEvent::Connected));
        assert!(fixture.handle(lost).is_empty());
        assert_eq!(fixture.invocation.poll_timeout(), None);
        assert!(
            reason(&fixture.handle(Event::Instance(InstanceEvent::Exiting))).contains("goodbye")
        );
    }
}

#[test]
fn a_repeated_request_with_a_used_token_leaves_the_first_runner_alone() {
    let mut fixture = Fixture::new();
    fixture.handle(no_response());
    fixture.fire_timer();
    assert!(fixture.handle(duplicate()).is_empty());
    assert!(fixture.handle(Event::Instance(InstanceEvent::Connected)).is_empty());
    assert!(reason(&fixture.handle(Event::Instance(InstanceEvent::Exiting))).contains("goodbye"));
}

#[test]
fn a_goodbye_may_come_before_the_duplicates_response() {
    let mut fixture = Fixture::new();
    fixture.handle(Event::Instance(InstanceEvent::Connected));
    assert!(fixture.handle(Event::Instance(InstanceEvent::Exiting)).is_empty());
    assert!(reason(&fixture.handle(duplicate())).contains("goodbye"));
}

#[test]
fn a_response_that_never_comes_after_a_goodbye_is_given_up() {
    let mut fixture = Fixture::new();
    let begun = fixture.now;
    fixture.handle(Event::Instance(InstanceEvent::Connected));
    fixture.handle(Event::Instance(InstanceEvent::Exiting));
    assert!(reason(&fixture.fire_timer()).contains("Lambda did not respond"));
    assert_eq!(fixture.now - begun, GOODBYE_TIMEOUT);
}

#[test]
fn a_stop_waits_briefly_for_the_response() {
    let mut fixture = Fixture::new();
    assert!(fixture.handle(Event::Stop).is_empty());
    assert!(reason(&fixture.handle(ended())).contains("it was idle"));
}

#[test]
fn a_stop_without_a_response_gives_up_and_says_how_the_invocation_ends() {
    let mut fixture = Fixture::new();
    let begun = fixture.now;
    fixture.handle(Event::Stop);
    assert!(fixture.handle(Event::Stop).is_empty());
    let actions = fixture.fire_timer();
    let reason = reason(&actions);
    assert!(
        reason.contains("no way to end an invocation") && reason.contains("it ends by itself"),
        "{reason}"
    );
    assert_eq!(fixture.now - begun, STOP_TIMEOUT);
}

#[test]
fn a_stop_during_the_backoff_ends_at_once_without_another_request() {
    let mut fixture = Fixture::new();
    fixture.handle(throttled());
    assert!(reason(&fixture.handle(Event::Stop)).contains("before Lambda ran it"));
    assert_eq!(fixture.invocation.poll_timeout(), None);
}

#[test]
fn no_request_follows_a_stop() {
    for lost in [no_response(), throttled()] {
        let mut fixture = Fixture::new();
        fixture.handle(Event::Stop);
        reason(&fixture.handle(lost));
    }
}

#[test]
fn only_the_link_reports_the_end_of_a_queued_event() {
    let mut fixture = Fixture::new();
    assert!(fixture.handle(queued()).is_empty());
    assert!(fixture.handle(Event::Instance(InstanceEvent::Connected)).is_empty());
    assert!(reason(&fixture.handle(Event::Instance(InstanceEvent::Exiting))).contains("goodbye"));
    let mut never_connected = Fixture::new();
    never_connected.handle(queued());
    assert!(reason(&never_connected.handle(Event::Stop)).contains("given up"));
}

fn event(which: u8) -> Event {
    match which {
        0 => ended(),
        1 => duplicate(),
        2 => queued(),
        3 => throttled(),
        4 => no_response(),
        5 => denied(),
        6 => Event::Instance(InstanceEvent::Connected),
        7 => Event::Instance(InstanceEvent::Exiting),
        8 => Event::Stop,
        _ => failed(ApiErrorKind::Rejected, Some("ServiceException"), Some(500)),
    }
}

proptest! {
    /// For all events in any order: one death at most, no action after it, never two requests in
    /// flight, and never more than two requests that may have been carried out.
    #[test]
    fn the_invariants_hold(events in prop::collection::vec((0u8..10, any::<bool>()), 0..40)) {
        let mut fixture = Fixture::new();
        let (mut in_flight, mut ambiguous, mut greeted, mut dead) = (true, 0, false, false);
        for (which, wait) in events {
            let is_response = matches!(which, 0..=5 | 9);
            if is_response && !in_flight {
                continue;
            }
            if is_response {
                in_flight = false;
                ambiguous += u32::from(which != 3 && which != 5);
            }
            greeted |= which == 6;
            let may_invoke = fixture.invocation.may_invoke();
            let mut actions = fixture.handle(event(which));
            if wait && fixture.invocation.poll_timeout().is_some() {
                actions.extend(fixture.fire_timer());
            }
            prop_assert!(
                may_invoke || !actions.contains(&Action::Invoke),
                "the event was dropped before a request that needs it"
            );
            for action in actions {
                prop_assert!(!dead, "no action follows a death");
                match action {
                    Action::Invoke => {
                        prop_assert!(!in_flight, "one request at a time");
                        prop_assert!(!greeted, "the runner has said hello");
                        prop_assert!(ambiguous < 2, "two requests may have been carried out");
                        in_flight = true;
                    }
                    Action::ReportDeath(death) => {
                        prop_assert!(!death.reason.is_empty());
                        dead = true;
                    }
                }
            }
        }
        if !dead {
            let begun = fixture.now;
            let mut actions = fixture.handle(Event::Stop);
            while actions.is_empty() {
                actions = fixture.fire_timer();
            }
            reason(&actions);
            prop_assert!(fixture.now - begun <= STOP_TIMEOUT.max(GOODBYE_TIMEOUT));
        }
    }
}
