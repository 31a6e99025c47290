use std::collections::BTreeMap;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
/// The current Unix time.
const UNIX: i64 = 1_800_000_000;
/// The tag that says where the parent runs, and its value.
const PLACE_TAG: &str = "flame:parent-place";
const PLACE: &str = "machine-7";

#[derive(Debug, Clone)]
struct Seen {
    tags: BTreeMap<String, String>,
    created: Option<i64>,
    is_ending: bool,
}

impl Listed for Seen {
    fn id(&self) -> &str {
        "1"
    }

    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name).map(String::as_str)
    }

    fn created(&self) -> Option<i64> {
        self.created
    }

    fn is_ending(&self) -> bool {
        self.is_ending
    }

    fn parent(&self) -> Option<&str> {
        self.tag(PLACE_TAG)
    }
}

#[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
fn start() -> Instant {
    Instant::now()
}

fn sweep() -> Sweep {
    let (pool, parent) = (Some("thumbs".to_owned()), Some("p-me".to_owned()));
    Sweep::new(Rule { pool, parent, age: MINUTE * 10, pause: MINUTE * 5 })
}

/// An instance that is an hour old, with the tags of a runner and these.
fn seen(tags: &[(&str, &str)]) -> Seen {
    let runner = [(POOL_TAG, "thumbs"), (RUNNER_TAG, "f-1"), (PARENT_TAG, "p-other")];
    let tags = runner.iter().chain(tags);
    let tags = tags.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Seen { tags, created: Some(UNIX - 3600), is_ending: false }
}

/// The number of instances that the second of two scans stops, one pause after the first.
fn stopped(sweep: &mut Sweep, one: &Seen, parent: Option<ParentStatus>) -> usize {
    let begin = start();
    let first = scan(sweep, begin, one, parent, false);
    assert_eq!(first, 0, "a first scan stops nothing");
    scan(sweep, begin + MINUTE * 5, one, parent, false)
}

fn scan(
    sweep: &mut Sweep,
    now: Instant,
    one: &Seen,
    parent: Option<ParentStatus>,
    known: bool,
) -> usize {
    let parents = parent.map(|parent| (PLACE.to_owned(), parent)).into_iter().collect();
    let listed = std::slice::from_ref(one);
    let known = move |_: &Seen| known;
    let (known, parents) = (&known, &parents);
    let scan = Scan { now, unix: UNIX, listed, ends_round: true, known, parents };
    sweep.scan(&scan).len()
}

#[test]
fn a_runner_whose_parent_has_stopped_is_stopped_by_the_second_scan() {
    let orphan = seen(&[(PLACE_TAG, PLACE)]);
    assert_eq!(sweep().parents_of(std::slice::from_ref(&orphan)), [PLACE]);
    assert_eq!(stopped(&mut sweep(), &orphan, Some(ParentStatus::Dead)), 1);
}

#[test]
fn a_runner_whose_parent_lives_or_cannot_be_looked_up_is_left_alone() {
    let orphan = seen(&[(PLACE_TAG, PLACE)]);
    assert_eq!(stopped(&mut sweep(), &orphan, Some(ParentStatus::Alive)), 0);
    assert_eq!(stopped(&mut sweep(), &orphan, None), 0);
}

#[test]
fn a_runner_whose_parents_place_is_unknown_is_left_alone_however_old() {
    let mut old = seen(&[]);
    old.created = Some(0);
    assert_eq!(stopped(&mut sweep(), &old, Some(ParentStatus::Dead)), 0);
}

#[test]
fn a_stray_of_this_parent_is_stopped_and_a_known_instance_never_is() {
    let stray = seen(&[(PARENT_TAG, "p-me")]);
    assert_eq!(stopped(&mut sweep(), &stray, None), 1);
    let (mut sweep, begin) = (sweep(), start());
    for minutes in 0..100 {
        assert_eq!(scan(&mut sweep, begin + MINUTE * minutes, &stray, None, true), 0);
    }
}

#[test]
fn an_overdue_runner_is_stopped_once_clock_skew_cannot_explain_it() {
    let ends = |seconds_ago: i64| seen(&[(ENDS_BY_TAG, &(UNIX - seconds_ago).to_string())]);
    assert_eq!(stopped(&mut sweep(), &ends(301), None), 1);
    assert_eq!(stopped(&mut sweep(), &ends(299), None), 0);
    assert_eq!(stopped(&mut sweep(), &ends(-600), None), 0);
    assert_eq!(stopped(&mut sweep(), &seen(&[(ENDS_BY_TAG, "soon")]), None), 0);
}

#[test]
fn a_young_instance_is_not_stopped() {
    let mut young = seen(&[(PLACE_TAG, PLACE)]);
    young.created = Some(UNIX - 599);
    assert_eq!(stopped(&mut sweep(), &young, Some(ParentStatus::Dead)), 0);
    young.created = None;
    assert_eq!(stopped(&mut sweep(), &young, Some(ParentStatus::Dead)), 0);
}

#[test]
fn scans_in_quick_succession_count_as_one() {
    let orphan = seen(&[(PLACE_TAG, PLACE)]);
    let (mut sweep, begin) = (sweep(), start());
    let dead = Some(ParentStatus::Dead);
    for seconds in 0..300 {
        assert_eq!(scan(&mut sweep, begin + Duration::from_secs(seconds), &orphan, dead, false), 0);
    }
    assert_eq!(scan(&mut sweep, begin + MINUTE * 5, &orphan, dead, false), 1);
}

#[test]
fn a_scan_in_which_an_instance_is_no_orphan_removes_its_mark() {
    let orphan = seen(&[(PLACE_TAG, PLACE)]);
    let (mut sweep, begin) = (sweep(), start());
    let dead = Some(ParentStatus::Dead);
    assert_eq!(scan(&mut sweep, begin, &orphan, dead, false), 0);
    // A platform may be eventually consistent: the parent was alive after all.
    assert_eq!(scan(&mut sweep, begin + MINUTE * 5, &orphan, Some(ParentStatus::Alive), false), 0);
    assert_eq!(scan(&mut sweep, begin + MINUTE * 10, &orphan, dead, false), 0);
    assert_eq!(scan(&mut sweep, begin + MINUTE * 15, &orphan, dead, false), 1);
}

#[test]
fn another_pools_instance_or_an_ending_one_or_no_runner_is_never_stopped() {
    let dead = Some(ParentStatus::Dead);
    let orphan = || seen(&[(PLACE_TAG, PLACE)]);
    let mut other_pool = orphan();
    other_pool.tags.insert(POOL_TAG.to_owned(), "others".to_owned());
    let mut no_runner = orphan();
    no_runner.tags.remove(RUNNER_TAG);
    let mut untagged = orphan();
    untagged.tags.clear();
    let mut ending = orphan();
    ending.is_ending = true;
    let mut without_parent = orphan();
    without_parent.tags.remove(PARENT_TAG);
    for one in [other_pool, no_runner, untagged, ending, without_parent] {
        assert_eq!(stopped(&mut sweep(), &one, dead), 0, "{one:?}");
    }
}

#[test]
fn a_mark_lasts_until_its_instance_is_scanned_again_in_a_round_of_several_scans() {
    let (mut sweep, begin) = (sweep(), start());
    let orphan = seen(&[(PARENT_TAG, "p-me")]);
    let mut minutes = 0;
    let mut scan = |listed: &[Seen], ends_round: bool| {
        minutes += 5;
        let (now, parents) = (begin + MINUTE * minutes, &HashMap::new());
        let scan = Scan { now, unix: UNIX, listed, ends_round, known: &|_| false, parents };
        sweep.scan(&scan).len()
    };
    let orphans = std::slice::from_ref(&orphan);
    assert_eq!(scan(orphans, false), 0);
    assert_eq!(scan(&[], true), 0);
    assert_eq!(scan(&[], false), 0, "other instances are scanned");
    assert_eq!(scan(orphans, true), 1);
    // A complete round without the instance.
    assert_eq!((scan(&[], false), scan(&[], true)), (0, 0));
    assert_eq!(scan(orphans, true), 0, "it is marked again");
}

#[test]
fn a_sweep_of_all_pools_finds_orphans_of_each_but_no_strays() {
    let all = || Sweep::new(Rule { pool: None, parent: None, age: MINUTE * 10, pause: MINUTE * 5 });
    let mut orphan = seen(&[(PLACE_TAG, PLACE)]);
    orphan.tags.insert(POOL_TAG.to_owned(), "others".to_owned());
    assert_eq!(all().parents_of(std::slice::from_ref(&orphan)), [PLACE]);
    assert_eq!(stopped(&mut all(), &orphan, Some(ParentStatus::Dead)), 1);
    assert_eq!(stopped(&mut all(), &orphan, Some(ParentStatus::Alive)), 0);
    assert_eq!(stopped(&mut all(), &seen(&[(ENDS_BY_TAG, "1")]), None), 1);
    assert_eq!(stopped(&mut all(), &seen(&[]), None), 0);
    for tag in [POOL_TAG, RUNNER_TAG, PARENT_TAG] {
        let mut no_runner = orphan.clone();
        no_runner.tags.remove(tag);
        assert_eq!(stopped(&mut all(), &no_runner, Some(ParentStatus::Dead)), 0, "no {tag}");
    }
}
