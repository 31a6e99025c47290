use super::*;

const INTERVALS: PollIntervals =
    PollIntervals { booting: Duration::from_secs(1), up: Duration::from_secs(5) };
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

/// Polls whenever it is due until `end`; ECS reports every task in `status`. Returns the number of
/// requests.
fn poll_until(poller: &mut Poller, now: &mut Instant, end: Instant, status: &str) -> usize {
    let mut requests = 0;
    while let Some(due) = poller.poll_timeout(*now).filter(|due| *due <= end) {
        *now = due.max(*now);
        let batch = poller.next_batch(*now).expect("it is due");
        assert!(batch.len() <= MAX_BATCH);
        poller.answered(*now, batch.iter().map(|arn| task(arn, status)).collect(), &[]);
        requests += 1;
    }
    *now = end;
    requests
}

#[test]
fn no_request_is_made_while_no_task_is_watched() {
    let (now, mut poller) = (start(), Poller::new(INTERVALS));
    assert_eq!((poller.poll_timeout(now), poller.next_batch(now)), (None, None));
    poller.insert(now, arn(1));
    assert_eq!(poller.poll_timeout(now), Some(now + SECOND));
    assert_eq!(poller.next_batch(now), None, "ECS does not know a task right after its launch");
}

#[test]
fn many_tasks_are_polled_in_batches_of_a_hundred() {
    let (now, mut poller) = (start(), Poller::new(INTERVALS));
    (0..250).for_each(|n| poller.insert(now, arn(n)));
    let now = now + SECOND;
    let mut polled = Vec::new();
    for len in [100, 100, 50] {
        let batch = poller.next_batch(now).unwrap();
        assert_eq!(batch.len(), len);
        assert_eq!(poller.next_batch(now), None, "one request at a time");
        poller.answered(now, batch.iter().map(|arn| task(arn, "PENDING")).collect(), &[]);
        polled.extend(batch);
    }
    polled.dedup();
    assert_eq!(polled.len(), 250);
    assert_eq!(poller.next_batch(now), None, "the round is complete");
}

#[test]
fn tasks_are_polled_every_second_while_any_boots_and_every_five_when_all_are_up() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    let mut now = begin;
    (0..3).for_each(|n| poller.insert(now, arn(n)));
    assert_eq!(poll_until(&mut poller, &mut now, begin + SECOND * 30, "PENDING"), 30);
    let requests = poll_until(&mut poller, &mut now, begin + SECOND * 90, "RUNNING");
    assert!(
        (20..=22).contains(&requests),
        "10 while the tasks settle, then 10 in 50 s: {requests}"
    );
    poller.insert(now, arn(9));
    assert!(
        poller.poll_timeout(now).unwrap() <= now + SECOND,
        "a booting task shortens the interval"
    );
}

#[test]
fn a_hundred_tasks_of_ten_minutes_cost_less_than_two_requests_each() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    let mut now = begin;
    (0..100).for_each(|n| poller.insert(now, arn(n)));
    let booting = poll_until(&mut poller, &mut now, begin + SECOND * 60, "PENDING");
    let up = poll_until(&mut poller, &mut now, begin + SECOND * 660, "RUNNING");
    assert!(booting + up < 200, "{booting} + {up}");
}

#[test]
fn an_unknown_task_is_pending_for_a_minute_and_dead_after_that() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    poller.insert(begin, arn(1));
    for seconds in 1..=60 {
        let now = begin + SECOND * seconds;
        let batch = poller.next_batch(now).unwrap();
        assert_eq!(poller.answered(now, Vec::new(), &batch), [], "{seconds} s");
    }
    let now = begin + SECOND * 61;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), [(arn(1), TaskEnd::Unknown)]);
    assert_eq!(poller.poll_timeout(now), None);
}

#[test]
fn a_task_that_is_unknown_for_less_than_an_interval_stays_watched() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    let mut now = begin;
    poller.insert(now, arn(1));
    poll_until(&mut poller, &mut now, begin + SECOND * 100, "RUNNING");
    now += INTERVALS.up;
    let missing = now;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), []);
    assert_eq!(poller.poll_timeout(now), Some(now + INTERVALS.up), "no task is urgent");
    // Urgent polls within the interval do not count.
    while now + SECOND < missing + INTERVALS.up {
        now += SECOND;
        poller.poll_now(&arn(1));
        let batch = poller.next_batch(now).unwrap();
        assert_eq!(poller.answered(now, Vec::new(), &batch), []);
    }
    now = missing + INTERVALS.up;
    poller.poll_now(&arn(1));
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, vec![task(&arn(1), "RUNNING")], &[]), []);
    assert_eq!(batch, [arn(1)]);
    now += INTERVALS.up;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), [], "the count starts again");
    assert!(poller.knows(&arn(1)));
}

#[test]
fn a_task_that_is_unknown_in_two_polls_an_interval_apart_is_dead() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    let mut now = begin;
    poller.insert(now, arn(1));
    poll_until(&mut poller, &mut now, begin + SECOND * 100, "RUNNING");
    now += INTERVALS.up;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), []);
    // A failed request neither confirms nor resets the first response.
    now = poller.poll_timeout(now).unwrap();
    poller.next_batch(now).unwrap();
    poller.failed(now, 0.0);
    now = poller.poll_timeout(now).unwrap();
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), [(arn(1), TaskEnd::Unknown)]);
}

#[test]
fn an_old_task_is_not_dead_at_the_first_poll_that_does_not_know_it() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    poller.insert(begin, arn(1));
    let now = begin + SECOND * 300;
    let batch = poller.next_batch(now).unwrap();
    assert_eq!(poller.answered(now, Vec::new(), &batch), []);
}

#[test]
fn a_dead_task_is_reported_once_and_no_longer_watched() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    poller.insert(begin, arn(1));
    poller.insert(begin, arn(2));
    let now = begin + SECOND;
    poller.next_batch(now).unwrap();
    let stopped = task(&arn(1), "STOPPED");
    let known = vec![stopped.clone(), task(&arn(2), "RUNNING")];
    assert_eq!(
        poller.answered(now, known, &[]),
        [(arn(1), TaskEnd::Stopped(Box::new(stopped.clone())))]
    );
    assert_eq!(poller.tasks().collect::<Vec<_>>(), [arn(2)]);
    let now = now + SECOND;
    assert_eq!(poller.next_batch(now).unwrap(), [arn(2)]);
    assert_eq!(poller.answered(now, vec![stopped], &[]), [], "a late response changes nothing");
}

#[test]
fn a_failed_request_is_retried_with_growing_delays_and_loses_no_task() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    poller.insert(begin, arn(1));
    let mut now = begin + SECOND;
    let mut delays = Vec::new();
    for _ in 0..8 {
        poller.next_batch(now).unwrap();
        poller.failed(now, 1.0);
        let due = poller.poll_timeout(now).unwrap();
        delays.push((due - now).as_secs());
        assert_eq!(poller.next_batch(now), None);
        now = due;
    }
    assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(poller.next_batch(now).unwrap(), [arn(1)]);
    poller.answered(now, vec![task(&arn(1), "PENDING")], &[]);
    assert_eq!(poller.poll_timeout(now), Some(now + SECOND), "a response resets the delay");
}

#[test]
fn a_failure_in_the_middle_of_a_round_restarts_the_round() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
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
fn an_urgent_task_is_polled_first_and_at_once() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    let mut now = begin;
    (0..300).for_each(|n| poller.insert(begin, arn(n)));
    poll_until(&mut poller, &mut now, begin + SECOND * 60, "RUNNING");
    let last = poller.poll_timeout(now).unwrap() - INTERVALS.up;
    poller.poll_now(&arn(299));
    poller.poll_now("task/unknown");
    let due = poller.poll_timeout(now).unwrap();
    assert!(due <= last + MIN_INTERVAL, "{:?}", due - last);
    let batch = poller.next_batch(now.max(due)).unwrap();
    assert_eq!((batch[0].clone(), batch.len()), (arn(299), MAX_BATCH));
}

#[test]
fn an_ending_task_is_polled_more_often() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    let mut now = begin;
    poller.insert(begin, arn(1));
    poll_until(&mut poller, &mut now, begin + SECOND * 60, "RUNNING");
    assert_eq!(poller.is_ending(&arn(1)), Some(false));
    now += INTERVALS.up;
    poller.next_batch(now).unwrap();
    poller.answered(now, vec![task(&arn(1), "STOPPING")], &[]);
    assert_eq!(poller.is_ending(&arn(1)), Some(true));
    assert_eq!(poller.poll_timeout(now), Some(now + SECOND));
}

#[test]
fn a_requested_poll_is_pending_until_its_own_response() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    poller.insert(begin, arn(1));
    let now = begin + SECOND;
    poller.next_batch(now).unwrap();
    poller.poll_now(&arn(1));
    poller.answered(now, vec![task(&arn(1), "RUNNING")], &[]);
    assert!(poller.is_poll_pending(&arn(1)), "that request was already in flight");
    let now = poller.poll_timeout(now).unwrap();
    poller.next_batch(now).unwrap();
    assert!(poller.is_poll_pending(&arn(1)));
    poller.answered(now, vec![task(&arn(1), "STOPPING")], &[]);
    assert!(!poller.is_poll_pending(&arn(1)));
    // A failed request ends the wait as well.
    poller.poll_now(&arn(1));
    let now = poller.poll_timeout(now).unwrap();
    poller.next_batch(now).unwrap();
    poller.failed(now, 0.0);
    assert!(!poller.is_poll_pending(&arn(1)));
}

#[test]
fn a_task_that_was_told_to_stop_is_polled_more_often() {
    let (begin, mut poller) = (start(), Poller::new(INTERVALS));
    let mut now = begin;
    poller.insert(begin, arn(1));
    poll_until(&mut poller, &mut now, begin + SECOND * 60, "RUNNING");
    poller.mark_stopping(&arn(1));
    assert!(poller.poll_timeout(now).unwrap() <= now + SECOND);
}

mod properties {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Insert(usize),
        PollNow(usize),
        MarkStopping(usize),
        /// Time passes. If a request is due, this is its result.
        Pass {
            millis: u64,
            result: Response,
        },
    }

    #[derive(Debug, Clone, Copy)]
    enum Response {
        All(&'static str),
        Stopped(usize),
        Unknown,
        Fails,
    }

    fn op() -> impl Strategy<Value = Op> {
        let n = 0..230_usize;
        let result = prop_oneof![
            4 => proptest::sample::select(vec!["PENDING", "RUNNING"]).prop_map(Response::All),
            2 => n.clone().prop_map(Response::Stopped),
            1 => Just(Response::Unknown),
            1 => Just(Response::Fails),
        ];
        prop_oneof![
            2 => n.clone().prop_map(Op::Insert),
            1 => n.clone().prop_map(Op::PollNow),
            1 => n.prop_map(Op::MarkStopping),
            4 => (0..40_000_u64, result).prop_map(|(millis, result)| Op::Pass { millis, result }),
        ]
    }

    proptest! {
        #[test]
        fn each_task_is_watched_until_it_is_dead_and_each_death_is_reported_once(
            ops in prop::collection::vec(op(), 1..200),
        ) {
            let mut now = start();
            let mut poller = Poller::new(INTERVALS);
            // An ARN is never used twice.
            let (mut live, mut launched) = (BTreeSet::new(), BTreeSet::new());
            for op in ops {
                match op {
                    Op::Insert(n) if launched.insert(arn(n)) => {
                        live.insert(arn(n));
                        poller.insert(now, arn(n));
                    }
                    Op::Insert(_) => {}
                    Op::PollNow(n) => poller.poll_now(&arn(n)),
                    Op::MarkStopping(n) => poller.mark_stopping(&arn(n)),
                    Op::Pass { millis, result } => {
                        now += Duration::from_millis(millis);
                        let Some(batch) = poller.next_batch(now) else { continue };
                        prop_assert!((1..=MAX_BATCH).contains(&batch.len()));
                        prop_assert!(batch.iter().all(|arn| launched.contains(arn)));
                        prop_assert_eq!(poller.next_batch(now), None, "one at a time");
                        let dead = match result {
                            Response::Fails => {
                                poller.failed(now, 0.5);
                                Vec::new()
                            }
                            Response::Unknown => poller.answered(now, Vec::new(), &batch),
                            Response::All(status) => {
                                let all = batch.iter().map(|arn| task(arn, status)).collect();
                                poller.answered(now, all, &[])
                            }
                            Response::Stopped(n) => {
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
