use std::collections::BTreeMap;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

#[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
fn start() -> Instant {
    Instant::now()
}

/// A datum that can be told from others, with a name of at least this length.
fn datum(id: usize, len: usize) -> Datum {
    let name = format!("{id:0width$}", width = len.max(8));
    let (dimensions, at) = (Vec::new().into(), SystemTime::UNIX_EPOCH);
    Datum { name, dimensions, unit: "Count", at, values: vec![(1.0, 1.0)] }
}

fn id(datum: &Datum) -> usize {
    datum.name.parse().unwrap()
}

fn data(ids: std::ops::Range<usize>) -> Vec<Datum> {
    ids.map(|id| datum(id, 8)).collect()
}

fn ids(batch: &[Datum]) -> Vec<usize> {
    batch.iter().map(id).collect()
}

const THROTTLED: RequestOutcome = RequestOutcome::TryAgain { after: None };

#[test]
fn data_are_sent_in_order_in_requests_of_at_most_a_thousand() {
    let (now, mut batches) = (start(), Batches::new(BatchLimits::OF_API));
    assert_eq!(batches.next(now), None);
    assert_eq!(batches.accept(data(0..1500)), 0);
    assert_eq!(ids(&batches.next(now).unwrap()), (0..1000).collect::<Vec<_>>());
    assert_eq!(batches.next(now), None, "one request at a time");
    assert_eq!(batches.len(), 1500);
    assert_eq!(batches.answered(now, RequestOutcome::Accepted, 0.5), 0);
    assert_eq!(ids(&batches.next(now).unwrap()), (1000..1500).collect::<Vec<_>>());
    batches.answered(now, RequestOutcome::Accepted, 0.5);
    assert_eq!(batches.len(), 0);
}

#[test]
fn a_throttled_request_is_repeated_after_pauses_that_grow() {
    let (mut now, mut batches) = (start(), Batches::new(BatchLimits::OF_API));
    batches.accept(data(0..3));
    let mut pauses = Vec::new();
    for _ in 0..12 {
        assert_eq!(ids(&batches.next(now).unwrap()), [0, 1, 2]);
        assert_eq!(batches.answered(now, THROTTLED, 1.0), 0);
        let at = batches.retry_at().unwrap();
        assert_eq!(batches.next(at - Duration::from_millis(1)), None);
        pauses.push(at - now);
        now = at;
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert_eq!(pauses[0], Duration::from_millis(500));
    assert_eq!(pauses[11], Duration::from_secs(30));
    // Later data are sent together with the data that wait.
    batches.accept(data(3..4));
    assert_eq!(ids(&batches.next(now).unwrap()), [0, 1, 2, 3]);
    batches.answered(now, RequestOutcome::Accepted, 1.0);
    batches.accept(data(4..5));
    batches.next(now).unwrap();
    batches.answered(now, THROTTLED, 1.0);
    assert_eq!(batches.retry_at().unwrap() - now, Duration::from_millis(500), "a new series");
}

#[test]
fn the_pause_that_cloudwatch_asks_for_is_kept_within_reason() {
    let (now, mut batches) = (start(), Batches::new(BatchLimits::OF_API));
    for (asked, kept) in [(7, 7), (3600, 30)] {
        batches.accept(data(0..1));
        batches.next(now).unwrap();
        batches.answered(
            now,
            RequestOutcome::TryAgain { after: Some(Duration::from_secs(asked)) },
            0.0,
        );
        assert_eq!(batches.retry_at().unwrap() - now, Duration::from_secs(kept));
        batches = Batches::new(BatchLimits::OF_API);
    }
}

#[test]
fn invalid_data_are_dropped_and_counted_and_do_not_hold_up_the_rest() {
    let (now, mut batches) = (start(), Batches::new(BatchLimits::OF_API));
    batches.accept(data(0..1001));
    batches.next(now).unwrap();
    assert_eq!(batches.answered(now, RequestOutcome::Rejected, 0.5), 1000);
    assert_eq!(ids(&batches.next(now).unwrap()), [1000]);
}

#[test]
fn a_denied_request_waits_and_is_news_once() {
    let (now, mut batches) = (start(), Batches::new(BatchLimits::OF_API));
    batches.accept(data(0..1));
    batches.next(now).unwrap();
    assert!(batches.is_news(RequestOutcome::Blocked) && !batches.is_blocked());
    assert_eq!(batches.answered(now, RequestOutcome::Blocked, 0.5), 0);
    assert!(!batches.is_news(RequestOutcome::Blocked) && batches.is_blocked());
    assert_eq!(batches.retry_at().unwrap() - now, Duration::from_secs(30));
    assert_eq!(batches.next(now), None);
    batches.unblock();
    assert_eq!(ids(&batches.next(now).unwrap()), [0], "at once");
    batches.answered(now, RequestOutcome::Blocked, 0.5);
    let again = batches.retry_at().unwrap();
    assert_eq!(ids(&batches.next(again).unwrap()), [0]);
    batches.answered(again, RequestOutcome::Accepted, 0.5);
    assert!(!batches.is_blocked());
}

#[derive(Debug, Clone)]
enum Step {
    Accept { count: usize, len: usize },
    Request(RequestOutcome),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        4 => Just(RequestOutcome::Accepted),
        3 => Just(THROTTLED),
        1 => Just(RequestOutcome::Blocked),
        1 => Just(RequestOutcome::Rejected),
    ];
    let step = prop_oneof![
        3 => (1_usize..40, 8_usize..300).prop_map(|(count, len)| Step::Accept { count, len }),
        5 => outcome.prop_map(Step::Request),
        2 => (0_u64..40_000).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..60)
}

/// So small that histories reach each of them.
const SMALL: BatchLimits = BatchLimits { data: 20, request_bytes: 5_000, waiting_bytes: 20_000 };

proptest! {
    #[test]
    fn each_datum_is_accepted_once_or_dropped_and_counted_or_still_here(steps in steps()) {
        let (mut now, mut batches) = (start(), Batches::new(SMALL));
        let (mut given, mut dropped) = (0, 0);
        let mut accepted: BTreeMap<usize, u32> = BTreeMap::new();
        let mut answer = |batches: &mut Batches, now, outcome, batch: &[Datum]| {
            if outcome == RequestOutcome::Accepted {
                batch.iter().for_each(|datum| *accepted.entry(id(datum)).or_default() += 1);
            }
            batches.answered(now, outcome, 0.5)
        };
        for step in steps {
            match step {
                Step::Accept { count, len } => {
                    let data = (given..given + count).map(|id| datum(id, len)).collect();
                    given += count;
                    dropped += batches.accept(data);
                }
                Step::Request(outcome) => {
                    if let Some(batch) = batches.next(now) {
                        prop_assert!((1..=SMALL.data).contains(&batch.len()));
                        let bytes: usize = batch.iter().map(Datum::size).sum();
                        prop_assert!(bytes <= SMALL.request_bytes);
                        prop_assert!(batch.is_sorted_by_key(id));
                        dropped += answer(&mut batches, now, outcome, &batch);
                    }
                }
                Step::Wait(ms) => now += Duration::from_millis(ms),
            }
            let waiting: usize = batches.waiting.iter().map(Datum::size).sum();
            prop_assert_eq!(waiting, batches.bytes);
            prop_assert!(waiting <= SMALL.waiting_bytes);
        }
        // CloudWatch accepts everything from now on.
        now += Duration::from_secs(60);
        while let Some(batch) = batches.next(now) {
            dropped += answer(&mut batches, now, RequestOutcome::Accepted, &batch);
        }
        prop_assert_eq!(batches.len(), 0);
        prop_assert!(accepted.values().all(|times| *times == 1));
        prop_assert_eq!(accepted.len() + dropped, given);
    }
}
