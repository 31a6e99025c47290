use super::*;

const EVERY: Every = Every { booting: Duration::from_secs(1), up: Duration::from_secs(5) };
const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
fn start() -> Instant {
    Instant::now()
}

fn arn(n: usize) -> String {
    format!("task/{n:04}")
}

fn task(arn: &str, status: &str) -> Task {
    let desired = if matches!(status, "STOPPED" | "STOPPING") { "STOPPED" } else { "RUNNING" };
    Task {
        arn: arn.to_owned(),
        status: status.to_owned(),
        desired: desired.to_owned(),
        ..Task::default()
    }
}

/// Asks when it is due, and has all tasks in that state; how many requests were made until `end`.
fn run(poller: &mut Poller, now: &mut Instant, end: Instant, status: &str) -> usize {
    let mut requests = 0;
    while let Some(due) = poller.poll_timeout(*now).filter(|due| *due <= end) {
        *now = due.max(*now);
        let batch = poller.next_batch(*now).expect("it is due");
        assert!(batch.len() <= BATCH);
        poller.answered(*now, batch.iter().map(|arn| task(arn, status)).collect(), &[]);
        requests += 1;
    }
    *now = end;
    requests
}

#[test]
fn nothing_is_asked_while_there_is_nothing_to_watch() {
    let (now, mut poller) = (start(), Poller::new(EVERY));
    assert_eq!((poller.poll_timeout(now), poller.next_batch(now)), (None, None));
    poller.insert(now, arn(1));
    assert_eq!(poller.poll_timeout(now), Some(now + SECOND));
    assert_eq!(poller.next_batch(now), None, "a task that was just ordered is not known yet");
}

#[test]
fn many_tasks_are_asked_for_in_batches_of_a_hundred() {
    let (now, mut poller) = (start(), Poller::new(EVERY));
    (0..250).for_each(|n| poller.insert(now, arn(n)));
    let now = now + SECOND;
    let mut asked = Vec::new();
    for len in [100, 100, 50] {
        let batch = poller.next_batch(now).unwrap();
        assert_eq!(batch.len(), len);
        assert_eq!(poller.next_batch(now), None, "one request at a time");
        poller.answered(now, batch.iter().map(|arn| task(arn, "PENDING")).collect(), &[]);
        asked.extend(batch);
    }
    asked.dedup();
    assert_eq!(asked.len(), 250);
    assert_eq!(poller.next_batch(now), None, "the round is over");
}

#[test]
fn it_asks_every_second_while_any_boots_and_every_five_when_all_are_up() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    let mut now = begin;
    (0..3).for_each(|n| poller.insert(now, arn(n)));
    assert_eq!(run(&mut poller, &mut now, begin + SECOND * 30, "PENDING"), 30);
    let requests = run(&mut poller, &mut now, begin + SECOND * 90, "RUNNING");
    assert!((20..=22).contains(&requests), "10 while they settle, 10 in 50 s: {requests}");
    poller.insert(now, arn(9));
    assert!(poller.poll_timeout(now).unwrap() <= now + SECOND, "one that boots hurries it");
}

#[test]
fn a_hundred_runners_cost_less_than_two_requests_each_in_a_life_of_ten_minutes() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    let mut now = begin;
    (0..100).for_each(|n| poller.insert(now, arn(n)));
    let booting = run(&mut poller, &mut now, begin + SECOND * 60, "PENDING");
    let up = run(&mut poller, &mut now, begin + SECOND * 660, "RUNNING");
    assert!(booting + up < 200, "{booting} + {up}");
}

#[test]
fn a_task_that_is_missing_within_a_minute_is_pending_and_after_that_dead() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    poller.insert(begin, arn(1));
    for seconds in 1..=60 {
        let now = begin + SECOND * seconds;
        let batch = poller.next_batch(now).unwrap();
        assert_eq!(poller.answered(now, Vec::new(), &batch), [], "{seconds} s");
    }
    let now = begin + SECOND * 61;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), [(arn(1), End::Unknown)]);
    assert_eq!(poller.poll_timeout(now), None);
}

#[test]
fn a_live_task_that_is_missing_for_less_than_a_pause_lives_on() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    let mut now = begin;
    poller.insert(now, arn(1));
    run(&mut poller, &mut now, begin + SECOND * 100, "RUNNING");
    now += EVERY.up;
    let missing = now;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), []);
    assert_eq!(poller.poll_timeout(now), Some(now + EVERY.up), "nobody is in a hurry");
    // Whoever else is.
    while now + SECOND < missing + EVERY.up {
        now += SECOND;
        poller.look_at(&arn(1));
        let batch = poller.next_batch(now).unwrap();
        assert_eq!(poller.answered(now, Vec::new(), &batch), []);
    }
    now = missing + EVERY.up;
    poller.look_at(&arn(1));
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, vec![task(&arn(1), "RUNNING")], &[]), []);
    assert_eq!(batch, [arn(1)]);
    now += EVERY.up;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), [], "the first of a new row");
    assert!(poller.knows(&arn(1)));
}

#[test]
fn a_task_that_is_missing_at_two_looks_with_a_pause_in_between_is_dead() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    let mut now = begin;
    poller.insert(now, arn(1));
    run(&mut poller, &mut now, begin + SECOND * 100, "RUNNING");
    now += EVERY.up;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), []);
    // A look that fails says neither that it is there nor that it is not.
    now = poller.poll_timeout(now).unwrap();
    poller.next_batch(now).unwrap();
    poller.failed(now, 0.0);
    now = poller.poll_timeout(now).unwrap();
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), [(arn(1), End::Unknown)]);
}

#[test]
fn a_task_that_was_never_looked_at_for_a_minute_is_not_dead_at_the_first_look() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    poller.insert(begin, arn(1));
    let now = begin + SECOND * 300;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), []);
}

#[test]
fn the_dead_are_told_once_and_watched_no_more() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    poller.insert(begin, arn(1));
    poller.insert(begin, arn(2));
    let now = begin + SECOND;
    poller.next_batch(now).unwrap();
    let stopped = task(&arn(1), "STOPPED");
    let seen = vec![stopped.clone(), task(&arn(2), "RUNNING")];
    assert_eq!(poller.answered(now, seen, &[]), [(arn(1), End::Seen(stopped.clone()))]);
    assert_eq!(poller.tasks().collect::<Vec<_>>(), [arn(2)]);
    let now = now + SECOND;
    assert_eq!(poller.next_batch(now).unwrap(), [arn(2)]);
    assert_eq!(poller.answered(now, vec![stopped], &[]), [], "late news are none");
}

#[test]
fn a_failed_request_is_made_again_later_and_ever_later_and_loses_nobody() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    poller.insert(begin, arn(1));
    let mut now = begin + SECOND;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        poller.next_batch(now).unwrap();
        poller.failed(now, 1.0);
        let due = poller.poll_timeout(now).unwrap();
        pauses.push((due - now).as_secs());
        assert_eq!(poller.next_batch(now), None);
        now = due;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(poller.next_batch(now).unwrap(), [arn(1)]);
    poller.answered(now, vec![task(&arn(1), "PENDING")], &[]);
    assert_eq!(poller.poll_timeout(now), Some(now + SECOND), "all is forgotten");
}

#[test]
fn a_failure_in_the_middle_of_a_round_begins_it_anew() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    (0..150).for_each(|n| poller.insert(begin, arn(n)));
    let now = begin + SECOND;
    let first = poller.next_batch(now).unwrap();
    poller.answered(now, first.iter().map(|arn| task(arn, "PENDING")).collect(), &[]);
    poller.next_batch(now).unwrap();
    poller.failed(now, 0.0);
    let now = poller.poll_timeout(now).unwrap();
    assert_eq!(poller.next_batch(now).unwrap(), first);
}

#[test]
fn one_that_is_looked_at_comes_first_and_at_once() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    let mut now = begin;
    (0..300).for_each(|n| poller.insert(begin, arn(n)));
    run(&mut poller, &mut now, begin + SECOND * 60, "RUNNING");
    let last = poller.poll_timeout(now).unwrap() - EVERY.up;
    poller.look_at(&arn(299));
    poller.look_at("task/of-nobody");
    let due = poller.poll_timeout(now).unwrap();
    assert!(due <= last + BREATH, "{:?}", due - last);
    let batch = poller.next_batch(now.max(due)).unwrap();
    assert_eq!((batch[0].clone(), batch.len()), (arn(299), BATCH));
}

#[test]
fn a_task_that_ends_is_looked_at_more_often() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    let mut now = begin;
    poller.insert(begin, arn(1));
    run(&mut poller, &mut now, begin + SECOND * 60, "RUNNING");
    assert_eq!(poller.is_ending(&arn(1)), Some(false));
    now += EVERY.up;
    poller.next_batch(now).unwrap();
    poller.answered(now, vec![task(&arn(1), "STOPPING")], &[]);
    assert_eq!(poller.is_ending(&arn(1)), Some(true));
    assert_eq!(poller.poll_timeout(now), Some(now + SECOND));
}

#[test]
fn a_look_is_waited_for_until_its_own_answer() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    poller.insert(begin, arn(1));
    let now = begin + SECOND;
    poller.next_batch(now).unwrap();
    poller.look_at(&arn(1));
    poller.answered(now, vec![task(&arn(1), "RUNNING")], &[]);
    assert!(poller.is_waited_for(&arn(1)), "that answer was on its way before");
    let now = poller.poll_timeout(now).unwrap();
    poller.next_batch(now).unwrap();
    assert!(poller.is_waited_for(&arn(1)));
    poller.answered(now, vec![task(&arn(1), "STOPPING")], &[]);
    assert!(!poller.is_waited_for(&arn(1)));
    // Nor for ever, where the request fails.
    poller.look_at(&arn(1));
    let now = poller.poll_timeout(now).unwrap();
    poller.next_batch(now).unwrap();
    poller.failed(now, 0.0);
    assert!(!poller.is_waited_for(&arn(1)));
}

#[test]
fn a_task_that_was_told_to_stop_is_looked_at_more_often() {
    let (begin, mut poller) = (start(), Poller::new(EVERY));
    let mut now = begin;
    poller.insert(begin, arn(1));
    run(&mut poller, &mut now, begin + SECOND * 60, "RUNNING");
    poller.told_to_stop(&arn(1));
    assert!(poller.poll_timeout(now).unwrap() <= now + SECOND);
}

mod properties {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Insert(usize),
        LookAt(usize),
        ToldToStop(usize),
        /// Time passes, and ECS answers so, if it was asked.
        Pass {
            millis: u64,
            answer: Answer,
        },
    }

    #[derive(Debug, Clone, Copy)]
    enum Answer {
        All(&'static str),
        Stopped(usize),
        Unknown,
        Fails,
    }

    fn op() -> impl Strategy<Value = Op> {
        let n = 0..230_usize;
        let answer = prop_oneof![
            4 => proptest::sample::select(vec!["PENDING", "RUNNING"]).prop_map(Answer::All),
            2 => n.clone().prop_map(Answer::Stopped),
            1 => Just(Answer::Unknown),
            1 => Just(Answer::Fails),
        ];
        prop_oneof![
            2 => n.clone().prop_map(Op::Insert),
            1 => n.clone().prop_map(Op::LookAt),
            1 => n.prop_map(Op::ToldToStop),
            4 => (0..40_000_u64, answer).prop_map(|(millis, answer)| Op::Pass { millis, answer }),
        ]
    }

    proptest! {
        #[test]
        fn each_task_is_watched_until_it_is_dead_and_each_death_is_told_once(
            ops in prop::collection::vec(op(), 1..200),
        ) {
            let mut now = start();
            let mut poller = Poller::new(EVERY);
            // Ordered, and never ordered again: an ARN is not given twice.
            let (mut live, mut ever) = (BTreeSet::new(), BTreeSet::new());
            for op in ops {
                match op {
                    Op::Insert(n) if ever.insert(arn(n)) => {
                        live.insert(arn(n));
                        poller.insert(now, arn(n));
                    }
                    Op::Insert(_) => {}
                    Op::LookAt(n) => poller.look_at(&arn(n)),
                    Op::ToldToStop(n) => poller.told_to_stop(&arn(n)),
                    Op::Pass { millis, answer } => {
                        now += Duration::from_millis(millis);
                        let Some(batch) = poller.next_batch(now) else { continue };
                        prop_assert!((1..=BATCH).contains(&batch.len()));
                        prop_assert!(batch.iter().all(|arn| ever.contains(arn)));
                        prop_assert_eq!(poller.next_batch(now), None, "one at a time");
                        let dead = match answer {
                            Answer::Fails => {
                                poller.failed(now, 0.5);
                                Vec::new()
                            }
                            Answer::Unknown => poller.answered(now, Vec::new(), &batch),
                            Answer::All(status) => {
                                let all = batch.iter().map(|arn| task(arn, status)).collect();
                                poller.answered(now, all, &[])
                            }
                            Answer::Stopped(n) => {
                                let state = |a: &String| {
                                    task(a, if *a == arn(n) { "STOPPED" } else { "RUNNING" })
                                };
                                poller.answered(now, batch.iter().map(state).collect(), &[])
                            }
                        };
                        for (arn, _) in dead {
                            prop_assert!(live.remove(&arn), "{arn} dies twice");
                        }
                    }
                }
                let watched: BTreeSet<_> = poller.tasks().map(str::to_owned).collect();
                prop_assert_eq!(&watched, &live);
                prop_assert_eq!(poller.poll_timeout(now).is_some(), !live.is_empty());
            }
        }
    }
}
