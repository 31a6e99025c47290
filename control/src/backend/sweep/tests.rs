use super::*;

const MINUTE: Duration = Duration::from_secs(60);
/// The current Unix time.
const UNIX: i64 = 1_800_000_000;
const PARENTS_TASK: &str = "arn:aws:ecs:eu-central-1:1:task/main/parent";

#[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
fn start() -> Instant {
    Instant::now()
}

fn sweep() -> Sweep {
    let (pool, parent) = (Some("thumbs".to_owned()), Some("p-me".to_owned()));
    Sweep::new(Rule { pool, parent, age: MINUTE * 10, pause: MINUTE * 5 })
}

/// A task that is an hour old, with the tags of a runner and these.
fn task(tags: &[(&str, &str)]) -> Task {
    let runner = [(POOL_TAG, "thumbs"), (RUNNER_TAG, "f-1"), (PARENT_TAG, "p-other")];
    let tags = runner.iter().chain(tags);
    Task {
        arn: "arn:aws:ecs:eu-central-1:1:task/main/1".to_owned(),
        status: "RUNNING".to_owned(),
        desired: "RUNNING".to_owned(),
        created: Some(UNIX - 3600),
        tags: tags.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Task::default()
    }
}

/// The number of tasks that the second of two scans stops, one pause after the first.
fn stopped(sweep: &mut Sweep, task: &Task, parent: Option<ParentStatus>) -> usize {
    let begin = start();
    let first = scan(sweep, begin, task, parent, false);
    assert_eq!(first, 0, "a first scan stops nothing");
    scan(sweep, begin + MINUTE * 5, task, parent, false)
}

fn scan(
    sweep: &mut Sweep,
    now: Instant,
    task: &Task,
    parent: Option<ParentStatus>,
    known: bool,
) -> usize {
    let parents = parent.map(|parent| (PARENTS_TASK.to_owned(), parent)).into_iter().collect();
    let tasks = std::slice::from_ref(task);
    let known = move |_: &Task| known;
    let (known, parents) = (&known, &parents);
    let scan = Scan { now, unix: UNIX, tasks, ends_round: true, known, parents };
    sweep.scan(&scan).len()
}

#[test]
fn a_runner_whose_parents_task_has_stopped_is_stopped_by_the_second_scan() {
    let task = task(&[(PARENT_TASK_TAG, PARENTS_TASK)]);
    assert_eq!(sweep().parents_of(std::slice::from_ref(&task)), [PARENTS_TASK]);
    assert_eq!(stopped(&mut sweep(), &task, Some(ParentStatus::Dead)), 1);
}

#[test]
fn a_runner_whose_parent_lives_or_cannot_be_looked_up_is_left_alone() {
    let task = task(&[(PARENT_TASK_TAG, PARENTS_TASK)]);
    assert_eq!(stopped(&mut sweep(), &task, Some(ParentStatus::Alive)), 0);
    assert_eq!(stopped(&mut sweep(), &task, None), 0);
}

#[test]
fn a_runner_whose_parent_is_not_on_ecs_is_left_alone_however_old() {
    let mut old = task(&[]);
    old.created = Some(0);
    assert_eq!(stopped(&mut sweep(), &old, Some(ParentStatus::Dead)), 0);
}

#[test]
fn a_parent_in_another_region_or_account_is_never_presumed_dead() {
    for elsewhere in [
        "arn:aws:ecs:eu-west-1:1:task/main/parent",
        "arn:aws:ecs:eu-central-1:2:task/main/parent",
        "arn:aws-cn:ecs:eu-central-1:1:task/main/parent",
        "main/parent",
    ] {
        let task = task(&[(PARENT_TASK_TAG, elsewhere)]);
        assert_eq!(sweep().parents_of(std::slice::from_ref(&task)), [""; 0], "{elsewhere}");
        let (mut sweep, begin) = (sweep(), start());
        let parents = HashMap::from([(elsewhere.to_owned(), ParentStatus::Dead)]);
        let tasks = std::slice::from_ref(&task);
        for minutes in [0, 5, 10] {
            let now = begin + MINUTE * minutes;
            let (known, parents) = (&|_: &Task| false, &parents);
            let scan = Scan { now, unix: UNIX, tasks, ends_round: true, known, parents };
            assert_eq!(sweep.scan(&scan), [], "{elsewhere}");
        }
    }
}

#[test]
fn a_stray_of_this_parent_is_stopped_and_a_known_task_never_is() {
    let stray = task(&[(PARENT_TAG, "p-me")]);
    assert_eq!(stopped(&mut sweep(), &stray, None), 1);
    let (mut sweep, begin) = (sweep(), start());
    for minutes in 0..100 {
        assert_eq!(scan(&mut sweep, begin + MINUTE * minutes, &stray, None, true), 0);
    }
}

#[test]
fn an_overdue_runner_is_stopped_once_clock_skew_cannot_explain_it() {
    let ends = |seconds_ago: i64| task(&[(ENDS_BY_TAG, &(UNIX - seconds_ago).to_string())]);
    assert_eq!(stopped(&mut sweep(), &ends(301), None), 1);
    assert_eq!(stopped(&mut sweep(), &ends(299), None), 0);
    assert_eq!(stopped(&mut sweep(), &ends(-600), None), 0);
    assert_eq!(stopped(&mut sweep(), &task(&[(ENDS_BY_TAG, "soon")]), None), 0);
}

#[test]
fn a_young_task_is_not_stopped() {
    let mut young = task(&[(PARENT_TASK_TAG, PARENTS_TASK)]);
    young.created = Some(UNIX - 599);
    assert_eq!(stopped(&mut sweep(), &young, Some(ParentStatus::Dead)), 0);
    young.created = None;
    assert_eq!(stopped(&mut sweep(), &young, Some(ParentStatus::Dead)), 0);
}

#[test]
fn scans_in_quick_succession_count_as_one() {
    let task = task(&[(PARENT_TASK_TAG, PARENTS_TASK)]);
    let (mut sweep, begin) = (sweep(), start());
    let dead = Some(ParentStatus::Dead);
    for seconds in 0..300 {
        assert_eq!(scan(&mut sweep, begin + Duration::from_secs(seconds), &task, dead, false), 0);
    }
    assert_eq!(scan(&mut sweep, begin + MINUTE * 5, &task, dead, false), 1);
}

#[test]
fn a_scan_in_which_a_task_is_no_orphan_removes_its_mark() {
    let task = task(&[(PARENT_TASK_TAG, PARENTS_TASK)]);
    let (mut sweep, begin) = (sweep(), start());
    let dead = Some(ParentStatus::Dead);
    assert_eq!(scan(&mut sweep, begin, &task, dead, false), 0);
    // ECS is eventually consistent: the parent was alive after all.
    assert_eq!(scan(&mut sweep, begin + MINUTE * 5, &task, Some(ParentStatus::Alive), false), 0);
    assert_eq!(scan(&mut sweep, begin + MINUTE * 10, &task, dead, false), 0);
    assert_eq!(scan(&mut sweep, begin + MINUTE * 15, &task, dead, false), 1);
}

#[test]
fn another_pools_task_or_an_ending_one_or_no_runner_is_never_stopped() {
    let dead = Some(ParentStatus::Dead);
    let orphan = || task(&[(PARENT_TASK_TAG, PARENTS_TASK)]);
    let mut other_pool = orphan();
    other_pool.tags.insert(POOL_TAG.to_owned(), "others".to_owned());
    let mut no_runner = orphan();
    no_runner.tags.remove(RUNNER_TAG);
    let mut untagged = orphan();
    untagged.tags.clear();
    let mut ending = orphan();
    ending.desired = "STOPPED".to_owned();
    let mut without_parent = orphan();
    without_parent.tags.remove(PARENT_TAG);
    for task in [other_pool, no_runner, untagged, ending, without_parent] {
        assert_eq!(stopped(&mut sweep(), &task, dead), 0, "{task:?}");
    }
}

#[test]
fn a_mark_lasts_until_its_task_is_scanned_again_in_a_round_of_several_scans() {
    let (mut sweep, begin) = (sweep(), start());
    let orphan = task(&[(PARENT_TAG, "p-me")]);
    let mut minutes = 0;
    let mut scan = |tasks: &[Task], ends_round: bool| {
        minutes += 5;
        let (now, parents) = (begin + MINUTE * minutes, &HashMap::new());
        let scan = Scan { now, unix: UNIX, tasks, ends_round, known: &|_| false, parents };
        sweep.scan(&scan).len()
    };
    let orphans = std::slice::from_ref(&orphan);
    assert_eq!(scan(orphans, false), 0);
    assert_eq!(scan(&[], true), 0);
    assert_eq!(scan(&[], false), 0, "other tasks are scanned");
    assert_eq!(scan(orphans, true), 1);
    // A complete round without the task.
    assert_eq!((scan(&[], false), scan(&[], true)), (0, 0));
    assert_eq!(scan(orphans, true), 0, "it is marked again");
}

#[test]
fn a_sweep_of_all_pools_finds_orphans_of_each_but_no_strays() {
    let all = || Sweep::new(Rule { pool: None, parent: None, age: MINUTE * 10, pause: MINUTE * 5 });
    let mut orphan = task(&[(PARENT_TASK_TAG, PARENTS_TASK)]);
    orphan.tags.insert(POOL_TAG.to_owned(), "others".to_owned());
    assert_eq!(all().parents_of(std::slice::from_ref(&orphan)), [PARENTS_TASK]);
    assert_eq!(stopped(&mut all(), &orphan, Some(ParentStatus::Dead)), 1);
    assert_eq!(stopped(&mut all(), &orphan, Some(ParentStatus::Alive)), 0);
    assert_eq!(stopped(&mut all(), &task(&[(ENDS_BY_TAG, "1")]), None), 1);
    assert_eq!(stopped(&mut all(), &task(&[]), None), 0);
    for tag in [POOL_TAG, RUNNER_TAG, PARENT_TAG] {
        let mut no_runner = orphan.clone();
        no_runner.tags.remove(tag);
        assert_eq!(stopped(&mut all(), &no_runner, Some(ParentStatus::Dead)), 0, "no {tag}");
    }
}
