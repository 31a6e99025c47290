use flame_runner_shim::host::lambda::InvocationResponse;
use flame_wire::hello::Refusal as Unwanted;
use flame_wire::message::EndReason;
use proptest::prelude::*;

use super::super::super::aws::fault::{Fault, Got};
use super::*;

const BOOT: Duration = Duration::from_secs(30);

/// An invocation, and the time.
struct Scene {
    now: Instant,
    invocation: Invocation,
}

impl Scene {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
        let now = Instant::now();
        let mut scene = Self { now, invocation: Invocation::new(now, "f", BOOT, "it ends") };
        assert_eq!(scene.actions(), [Action::Send]);
        scene
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.invocation.poll_action()).collect()
    }

    fn after(&mut self, event: Event) -> Vec<Action> {
        self.invocation.handle(self.now, event);
        self.actions()
    }

    /// Lets time pass until the next timer, and no longer than that.
    fn later(&mut self) -> Vec<Action> {
        self.now = self.invocation.poll_timeout().expect("a timer is set");
        self.invocation.handle_timeout(self.now);
        self.actions()
    }
}

fn reply(answer: &InvocationResponse) -> Event {
    Event::Answered(Reply {
        status: 200,
        function_error: None,
        payload: serde_json::to_vec(answer).unwrap(),
        log: Vec::new(),
        request_id: None,
    })
}

fn ended() -> Event {
    reply(&InvocationResponse::Ended {
        reason: EndReason::Idle,
        code: 0,
        calls: 1,
        still_running: 0,
    })
}

fn spent() -> Event {
    reply(&InvocationResponse::Refused { refusal: Unwanted::UsedToken })
}

fn accepted() -> Event {
    let Event::Answered(reply) = ended() else { unreachable!() };
    Event::Answered(Reply { status: 202, ..reply })
}

fn failed(got: Got, code: Option<&str>, status: Option<u16>) -> Event {
    let code = code.map(str::to_owned);
    let fault = Fault { code, message: "words".to_owned(), status, ..Fault::new(got) };
    Event::Failed(Refusal { fault, throttle: None }, 1.0)
}

fn throttled() -> Event {
    failed(Got::Refused, Some("TooManyRequestsException"), Some(429))
}

fn reset() -> Event {
    failed(Got::NoAnswer, None, None)
}

fn denied() -> Event {
    failed(Got::Refused, Some("AccessDeniedException"), Some(403))
}

fn reason(actions: &[Action]) -> &str {
    match actions {
        [Action::Die(death)] => &death.reason,
        actions => panic!("{actions:?}"),
    }
}

#[test]
fn the_answer_is_the_death() {
    let mut scene = Scene::new();
    assert!(scene.after(Event::Heard(Heard::Hello)).is_empty());
    assert!(scene.after(Event::Heard(Heard::Goodbye)).is_empty());
    assert!(reason(&scene.after(ended())).contains("it was idle"));
}

#[test]
fn a_throttled_request_is_repeated_and_may_then_succeed() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        assert!(scene.after(throttled()).is_empty());
        assert_eq!(scene.later(), [Action::Send]);
    }
    assert!(reason(&scene.after(ended())).contains("it was idle"));
}

#[test]
fn throttled_for_ever_is_a_failure_within_the_boots_time() {
    let mut scene = Scene::new();
    let begun = scene.now;
    let mut tries = 1;
    let actions = loop {
        let actions = scene.after(throttled());
        if !actions.is_empty() {
            break actions;
        }
        assert_eq!(scene.later(), [Action::Send]);
        tries += 1;
    };
    assert!(reason(&actions).contains(&format!("{tries} times")), "{actions:?}");
    assert!(scene.now - begun <= BOOT / 3 * 2, "the boot still has time");
    assert!((5..20).contains(&tries), "{tries}");
}

#[test]
fn lambda_is_not_asked_again_before_it_says() {
    let asked_to_wait = |seconds| {
        let Event::Failed(mut refusal, chance) = throttled() else { unreachable!() };
        refusal.fault.retry_after = Some(Duration::from_secs(seconds));
        Event::Failed(refusal, chance)
    };
    let mut scene = Scene::new();
    let begun = scene.now;
    assert!(scene.after(asked_to_wait(7)).is_empty());
    assert_eq!(scene.later(), [Action::Send]);
    assert_eq!(scene.now - begun, Duration::from_secs(7));
    // Longer than the boot has: it fails, and says why.
    assert!(reason(&scene.after(asked_to_wait(3_600))).contains("did not run"));
}

#[test]
fn an_answer_of_another_server_is_repeated_only_where_it_may_pass() {
    let mut scene = Scene::new();
    let reason = reason(&scene.after(failed(Got::Foreign, None, Some(501)))).to_owned();
    assert!(reason.contains("HTTP 501"), "{reason}");
    assert!(!reason.contains("no answer") && !reason.contains("Lambda refuses"), "{reason}");
    let mut scene = Scene::new();
    assert!(scene.after(failed(Got::Foreign, None, Some(503))).is_empty());
    assert_eq!(scene.later(), [Action::Send]);
    assert!(self::reason(&scene.after(failed(Got::Foreign, None, Some(503)))).contains("HTTP 503"));
}

#[test]
fn what_stays_wrong_is_not_repeated() {
    let mut scene = Scene::new();
    assert!(reason(&scene.after(denied())).contains("lambda:InvokeFunction"));
}

#[test]
fn a_lost_answer_is_asked_for_once_more() {
    let mut scene = Scene::new();
    assert!(scene.after(reset()).is_empty());
    assert_eq!(scene.later(), [Action::Send]);
    assert!(reason(&scene.after(ended())).contains("it was idle"));
}

#[test]
fn two_lost_answers_are_a_failure() {
    let mut scene = Scene::new();
    scene.after(reset());
    scene.later();
    assert!(reason(&scene.after(reset())).contains("gave no answer"));
}

#[test]
fn throttles_between_lost_answers_give_no_third_one() {
    let mut scene = Scene::new();
    scene.after(reset());
    scene.later();
    assert!(scene.after(throttled()).is_empty());
    assert_eq!(scene.later(), [Action::Send]);
    assert!(reason(&scene.after(reset())).contains("gave no answer"));
}

#[test]
fn a_request_whose_runner_is_up_is_not_repeated() {
    let mut scene = Scene::new();
    assert!(scene.after(reset()).is_empty());
    assert!(scene.after(Event::Heard(Heard::Hello)).is_empty());
    assert_eq!(scene.invocation.poll_timeout(), None);
    assert!(reason(&scene.after(Event::Heard(Heard::Goodbye))).contains("goodbye"));
}

#[test]
fn an_answer_lost_while_the_runner_serves_kills_nobody() {
    for lost in [reset(), throttled(), denied()] {
        let mut scene = Scene::new();
        scene.after(Event::Heard(Heard::Hello));
        assert!(scene.after(lost).is_empty());
        assert_eq!(scene.invocation.poll_timeout(), None);
        assert!(reason(&scene.after(Event::Heard(Heard::Goodbye))).contains("goodbye"));
    }
}

#[test]
fn a_repeated_request_that_finds_the_token_spent_leaves_the_first_ones_runner_alone() {
    let mut scene = Scene::new();
    scene.after(reset());
    scene.later();
    assert!(scene.after(spent()).is_empty());
    assert!(scene.after(Event::Heard(Heard::Hello)).is_empty());
    assert!(reason(&scene.after(Event::Heard(Heard::Goodbye))).contains("goodbye"));
}

#[test]
fn a_goodbye_may_come_before_the_answer_of_the_other_one() {
    let mut scene = Scene::new();
    scene.after(Event::Heard(Heard::Hello));
    assert!(scene.after(Event::Heard(Heard::Goodbye)).is_empty());
    assert!(reason(&scene.after(spent())).contains("goodbye"));
}

#[test]
fn an_answer_that_never_comes_after_a_goodbye_is_not_waited_for() {
    let mut scene = Scene::new();
    let begun = scene.now;
    scene.after(Event::Heard(Heard::Hello));
    scene.after(Event::Heard(Heard::Goodbye));
    assert!(reason(&scene.later()).contains("its answer did not come"));
    assert_eq!(scene.now - begun, LAST_ANSWER);
}

#[test]
fn a_stop_waits_a_little_for_the_answer() {
    let mut scene = Scene::new();
    assert!(scene.after(Event::Stop).is_empty());
    assert!(reason(&scene.after(ended())).contains("it was idle"));
}

#[test]
fn a_stop_that_is_not_answered_gives_up_and_says_how_it_ends() {
    let mut scene = Scene::new();
    let begun = scene.now;
    scene.after(Event::Stop);
    assert!(scene.after(Event::Stop).is_empty());
    let actions = scene.later();
    let reason = reason(&actions);
    assert!(reason.contains("no way to end one") && reason.contains("it ends"), "{reason}");
    assert_eq!(scene.now - begun, STOPPING);
}

#[test]
fn a_stop_between_tries_ends_at_once_and_nothing_more_is_sent() {
    let mut scene = Scene::new();
    scene.after(throttled());
    assert!(reason(&scene.after(Event::Stop)).contains("before Lambda ran it"));
    assert_eq!(scene.invocation.poll_timeout(), None);
}

#[test]
fn a_stop_is_not_followed_by_another_try() {
    for lost in [reset(), throttled()] {
        let mut scene = Scene::new();
        scene.after(Event::Stop);
        reason(&scene.after(lost));
    }
}

#[test]
fn an_event_that_was_taken_ends_by_its_link_alone() {
    let mut scene = Scene::new();
    assert!(scene.after(accepted()).is_empty());
    assert!(scene.after(Event::Heard(Heard::Hello)).is_empty());
    assert!(reason(&scene.after(Event::Heard(Heard::Goodbye))).contains("goodbye"));
    let mut never_seen = Scene::new();
    never_seen.after(accepted());
    assert!(reason(&never_seen.after(Event::Stop)).contains("given up"));
}

fn any_event() -> impl Strategy<Value = u8> {
    0u8..10
}

fn event(which: u8) -> Event {
    match which {
        0 => ended(),
        1 => spent(),
        2 => accepted(),
        3 => throttled(),
        4 => reset(),
        5 => denied(),
        6 => Event::Heard(Heard::Hello),
        7 => Event::Heard(Heard::Goodbye),
        8 => Event::Stop,
        _ => failed(Got::Refused, Some("ServiceException"), Some(500)),
    }
}

proptest! {
    /// Whatever comes in whatever order: one death at the most, nothing after it, never two requests
    /// at a time, and never more than two that may have been carried out.
    #[test]
    fn its_invariants_hold(events in prop::collection::vec((any_event(), any::<bool>()), 0..40)) {
        let mut scene = Scene::new();
        let (mut asked, mut unclear, mut greeted, mut dead) = (true, 0, false, false);
        for (which, wait) in events {
            let is_answer = matches!(which, 0..=5 | 9);
            if is_answer && !asked {
                continue;
            }
            if is_answer {
                asked = false;
                unclear += u32::from(which != 3 && which != 5);
            }
            greeted |= which == 6;
            let mut actions = scene.after(event(which));
            if wait && scene.invocation.poll_timeout().is_some() {
                actions.extend(scene.later());
            }
            for action in actions {
                prop_assert!(!dead, "nothing follows a death");
                match action {
                    Action::Send => {
                        prop_assert!(!asked, "one request at a time");
                        prop_assert!(!greeted, "it has said hello");
                        prop_assert!(unclear < 2, "two may be under way");
                        asked = true;
                    }
                    Action::Die(death) => {
                        prop_assert!(!death.reason.is_empty());
                        dead = true;
                    }
                }
            }
        }
        if !dead {
            let begun = scene.now;
            let mut actions = scene.after(Event::Stop);
            while actions.is_empty() {
                actions = scene.later();
            }
            reason(&actions);
            prop_assert!(scene.now - begun <= STOPPING.max(LAST_ANSWER));
        }
    }
}
