use std::time::Duration;

use super::*;
use crate::backend::BootFailureKind;
use crate::backend::aws::fault::Got;

const SECOND: Duration = Duration::from_secs(1);
const PACE: Pace = Pace { first: SECOND, longest: Duration::from_secs(8) };

#[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
fn start() -> Instant {
    Instant::now()
}

fn order(now: Instant) -> Order {
    Order::new(now + SECOND * 60, PACE)
}

fn task() -> Heard {
    Heard::Task("task/1".to_owned())
}

fn refused(code: &str, message: &str) -> Heard {
    Heard::Fault(fault(Got::Refused, Some(code), message), Vec::new())
}

fn no_answer() -> Heard {
    Heard::Fault(fault(Got::NoAnswer, None, "connection reset"), Vec::new())
}

fn fault(got: Got, code: Option<&str>, message: &str) -> Fault {
    let code = code.map(str::to_owned);
    Fault { code, message: message.to_owned(), ..Fault::new(got) }
}

fn no_room() -> Heard {
    let reason = "RESOURCE:FARGATE".to_owned();
    Heard::Failures(vec![Failure { reason, ..Failure::default() }])
}

fn failed(step: Step) -> BootFailure {
    let Step::Fail(failure) = step else { panic!("{step:?}") };
    failure
}

#[test]
fn a_task_ends_the_order() {
    let now = start();
    let mut order = order(now);
    assert_eq!(order.begin(), Step::Ask { token: 0 });
    assert_eq!(order.next(now, task(), 0.0), Step::Done("task/1".to_owned()));
}

#[test]
fn a_throttled_order_is_repeated_ever_later_with_the_same_token() {
    let mut now = start();
    let mut order = order(now);
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let Step::Wait(until) = order.next(now, refused("ThrottlingException", ""), 1.0) else {
            panic!("it is repeated")
        };
        pauses.push((until - now).as_secs());
        now = until;
        assert_eq!(order.next(now, Heard::Waited, 0.0), Step::Ask { token: 0 });
    }
    assert_eq!(pauses, [1, 2, 4, 8, 8]);
    assert_eq!(order.next(now, task(), 0.0), Step::Done("task/1".to_owned()));
}

#[test]
fn throttling_by_ec2_is_waited_out_in_both_ways() {
    let told = "Error retrieving subnet information for [subnet-1]: Rate exceeded (ErrorCode: \
                Throttling)";
    let now = start();
    let mut order = order(now);
    let thrown = refused("InvalidParameterException", told);
    assert!(matches!(order.next(now, thrown, 0.0), Step::Wait(_)));
    assert_eq!(order.next(now, Heard::Waited, 0.0), Step::Ask { token: 0 });
    // In an answer that says that nothing was started, so the token is free.
    let listed = Failure { reason: told.to_owned(), ..Failure::default() };
    assert!(matches!(order.next(now, Heard::Failures(vec![listed]), 0.0), Step::Wait(_)));
    assert_eq!(order.next(now, Heard::Waited, 0.0), Step::Ask { token: 1 });
}

#[test]
fn a_service_that_says_when_to_ask_again_is_not_asked_before() {
    let now = start();
    let mut order = order(now);
    let Heard::Fault(mut fault, known) = refused("ThrottlingException", "") else { unreachable!() };
    fault.retry_after = Some(SECOND * 20);
    let step = order.next(now, Heard::Fault(fault.clone(), known.clone()), 0.0);
    assert_eq!(step, Step::Wait(now + SECOND * 20));
    let mut late = Order::new(now + SECOND * 10, PACE);
    let failure = failed(late.next(now, Heard::Fault(fault, known), 0.0));
    assert_eq!(failure.kind, BootFailureKind::Throttled);
}

#[test]
fn an_order_that_had_no_turn_says_so_and_was_not_sent() {
    let now = start();
    let mut order = order(now);
    let failure = failed(order.next(now, Heard::NoTurn, 0.0));
    assert_eq!(failure.kind, BootFailureKind::Throttled);
    assert!(failure.reason.contains("20 a second"), "{failure}");
    let mut doubtful = self::order(now);
    doubtful.next(now, no_answer(), 0.0);
    assert_eq!(doubtful.next(now, Heard::NoTurn, 0.0), Step::LookUp(Vec::new()));
}

#[test]
fn a_look_up_that_fails_keeps_the_reason_of_the_order() {
    let now = start();
    let mut late = Order::new(now, PACE);
    late.next(now, no_answer(), 0.0);
    let lost = Heard::LookUpFailed(fault(Got::NoAnswer, None, "too late"));
    let failure = failed(late.next(now, lost, 0.0));
    assert_eq!(failure.kind, BootFailureKind::Unavailable);
    assert!(failure.stopped_reason.as_deref().unwrap().contains("connection reset"), "{failure}");
    assert!(failure.reason.contains("too late"), "{failure}");
}

#[test]
fn a_lost_answer_is_asked_for_with_the_same_token_so_nothing_boots_twice() {
    let now = start();
    let mut order = order(now);
    assert!(matches!(order.next(now, no_answer(), 0.0), Step::Wait(_)));
    assert_eq!(order.next(now, Heard::Waited, 0.0), Step::Ask { token: 0 });
    // Even where there is no room: the first request may have started a task.
    let no_room = refused("ClientException", "Capacity is unavailable at this time.");
    assert!(matches!(order.next(now, no_room, 0.0), Step::Wait(_)));
    assert_eq!(order.next(now, Heard::Waited, 0.0), Step::Ask { token: 0 });
}

#[test]
fn an_order_that_started_nothing_for_lack_of_room_is_repeated_with_the_next_token() {
    let now = start();
    let mut order = order(now);
    for token in 1..4 {
        assert!(matches!(order.next(now, no_room(), 0.0), Step::Wait(_)));
        assert_eq!(order.next(now, Heard::Waited, 0.0), Step::Ask { token });
    }
    assert!(matches!(order.next(now, no_answer(), 0.0), Step::Wait(_)));
    assert_eq!(order.next(now, Heard::Waited, 0.0), Step::Ask { token: 3 });
    // The answer to that token ends the doubt.
    assert!(matches!(order.next(now, no_room(), 0.0), Step::Wait(_)));
    assert_eq!(order.next(now, Heard::Waited, 0.0), Step::Ask { token: 4 });
}

#[test]
fn what_is_wrong_fails_at_once_and_says_what_to_do() {
    use BootFailureKind::{Quota, Refused};
    let wrong = [
        ("ClusterNotFoundException", "Cluster not found.", Refused, "`cluster`"),
        ("InvalidParameterException", "Unknown container", Refused, "task definition"),
        ("AccessDeniedException", "not authorized: ecs:RunTask", Refused, "permission"),
        ("ClientException", "limit on the number of vCPUs", Quota, "quota"),
    ];
    for (code, message, kind, advice) in wrong {
        let now = start();
        let failure = failed(order(now).next(now, refused(code, message), 0.0));
        assert!(failure.reason.contains(advice), "{failure}");
        assert_eq!(failure.kind, kind, "{failure}");
        let said = failure.stopped_reason.unwrap();
        assert!(said.contains(code) && said.contains(message), "{said}");
    }
}

#[test]
fn nothing_is_asked_for_after_the_deadline_and_the_last_reason_is_told() {
    let begin = start();
    let mut now = begin;
    let mut order = order(begin);
    let failure = loop {
        match order.next(now, no_room(), 0.5) {
            Step::Wait(until) => now = until,
            step => break failed(step),
        }
    };
    assert!(now < begin + SECOND * 60);
    assert!(now > begin + SECOND * 50, "it is tried for as long as there is time");
    assert!(failure.reason.contains("capacity provider"), "{failure}");
    assert_eq!(failure.kind, BootFailureKind::Capacity);
    assert_eq!(failure.stopped_reason.as_deref(), Some("RESOURCE:FARGATE"));
}

#[test]
fn an_order_that_is_given_up_in_doubt_is_looked_up_first() {
    let now = start();
    let mut late = Order::new(now, PACE);
    assert_eq!(late.next(now, no_answer(), 0.0), Step::LookUp(Vec::new()));
    let found = Heard::Found(Some("task/2".to_owned()));
    assert_eq!(late.next(now, found, 0.0), Step::Done("task/2".to_owned()));

    let mut denied = order(now);
    denied.next(now, no_answer(), 0.0);
    let step = denied.next(now, refused("ExpiredTokenException", "expired"), 0.0);
    assert_eq!(step, Step::LookUp(Vec::new()));
    let failure = failed(denied.next(now, Heard::Found(None), 0.0));
    assert!(failure.reason.contains("credentials"), "{failure}");
}

#[test]
fn an_order_whose_doubt_can_not_be_cleared_says_that_there_may_be_a_task() {
    let now = start();
    let mut late = Order::new(now, PACE);
    late.next(now, no_answer(), 0.0);
    let lost = Heard::LookUpFailed(fault(Got::NoAnswer, None, "connection reset"));
    let failure = failed(late.next(now, lost, 0.0));
    assert!(failure.reason.contains("ends by itself"), "{failure}");
}

#[test]
fn a_conflict_is_looked_up_and_never_given_a_second_token() {
    let now = start();
    let mut taken = order(now);
    let known = vec!["task/9".to_owned()];
    let conflict = Heard::Fault(
        fault(Got::Refused, Some("ConflictException"), "with different parameters"),
        known.clone(),
    );
    assert_eq!(taken.next(now, conflict, 0.0), Step::LookUp(known));
    let failure = failed(taken.next(now, Heard::Found(None), 0.0));
    assert!(failure.stopped_reason.unwrap().contains("ConflictException"));
}

#[test]
fn an_answer_with_neither_task_nor_reason_fails_with_words() {
    let now = start();
    let failure = failed(order(now).next(now, Heard::Failures(Vec::new()), 0.0));
    assert!(failure.to_string().contains("neither a task"), "{failure}");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// What ECS may say to a RunTask.
    fn answer() -> impl Strategy<Value = Heard> {
        let refusals = [
            ("ThrottlingException", ""),
            ("ServerException", ""),
            ("ConflictException", ""),
            ("ClientException", "Capacity is unavailable at this time."),
            ("ClientException", "limit on vCPUs"),
            ("InvalidParameterException", "no"),
        ];
        prop_oneof![
            1 => Just(task()),
            6 => Just(no_answer()),
            4 => Just(no_room()),
            8 => proptest::sample::select(refusals.to_vec()).prop_map(|(code, said)| {
                refused(code, said)
            }),
        ]
    }

    /// Whether an answer leaves open if the token has started a task.
    fn leaves_doubt(heard: &Heard) -> bool {
        matches!(heard, Heard::Fault(fault, _) if classify::of_fault(fault) == Class::Transient)
    }

    fn says_nothing_was_started(heard: &Heard) -> bool {
        let refused_for_room = |fault: &Fault| classify::of_fault(fault) == Class::Capacity;
        matches!(heard, Heard::Failures(_))
            || matches!(heard, Heard::Fault(fault, _) if refused_for_room(fault))
    }

    proptest! {
        #[test]
        fn an_order_ends_and_never_risks_a_second_task(
            answers in prop::collection::vec(answer(), 400),
            shares in prop::collection::vec(0.0..1.0_f64, 400),
        ) {
            let begin = start();
            let (mut now, mut doubt) = (begin, false);
            let mut order = order(begin);
            let mut step = order.begin();
            let mut last_token = 0;
            let mut may_change = false;
            for (heard, share) in answers.into_iter().zip(shares) {
                match step {
                    Step::Ask { token } => {
                        prop_assert!(now < begin + SECOND * 60);
                        prop_assert!(token == last_token || may_change);
                        if token != last_token {
                            prop_assert!(!doubt, "a token in doubt is not given up");
                        }
                        last_token = token;
                        match &heard {
                            Heard::Failures(_) => doubt = false,
                            heard => doubt |= leaves_doubt(heard),
                        }
                        may_change = says_nothing_was_started(&heard);
                        step = order.next(now, heard, share);
                    }
                    Step::Wait(until) => {
                        prop_assert!(until > now);
                        now = until;
                        step = order.next(now, Heard::Waited, share);
                    }
                    Step::LookUp(_) => {
                        doubt = false;
                        step = order.next(now, Heard::Found(None), share);
                    }
                    Step::Done(_) => return Ok(()),
                    Step::Fail(failure) => {
                        prop_assert!(!doubt, "it does not fail in doubt");
                        prop_assert!(!failure.reason.is_empty());
                        return Ok(());
                    }
                }
            }
            prop_assert!(false, "it does not end");
        }
    }
}
