use super::*;

const MINUTE: Duration = Duration::from_secs(60);
/// Now, by every clock.
const UNIX: i64 = 1_800_000_000;
const PARENTS_TASK: &str = "arn:aws:ecs:eu-central-1:1:task/main/parent";

#[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
fn start() -> Instant {
    Instant::now()
}

fn sweep() -> Sweep {
    let (pool, parent) = ("thumbs".to_owned(), "p-me".to_owned());
    Sweep::new(Rule { pool, parent, age: MINUTE * 10, pause: MINUTE * 5 })
}

/// A task of an hour's age, with the tags of a runner, and these.
fn task(tags: &[(&str, &str)]) -> Task {
    let runner = [(POOL, "thumbs"), (RUNNER, "f-1"), (PARENT, "p-other")];
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

/// What is stopped by two looks, the second one pause later.
fn swept(sweep: &mut Sweep, task: &Task, parent: Option<ParentTask>) -> usize {
    let begin = start();
    let first = look(sweep, begin, task, parent, false);
    assert_eq!(first, 0, "a first look stops nothing");
    look(sweep, begin + MINUTE * 5, task, parent, false)
}

fn look(
    sweep: &mut Sweep,
    now: Instant,
    task: &Task,
    parent: Option<ParentTask>,
    known: bool,
) -> usize {
    let parents = parent.map(|parent| (PARENTS_TASK.to_owned(), parent)).into_iter().collect();
    let tasks = std::slice::from_ref(task);
    let known = move |_: &Task| known;
    let (known, parents) = (&known, &parents);
    let look = Look { now, unix: UNIX, tasks, ends_round: true, known, parents };
    sweep.look(&look).len()
}

#[test]
fn a_runner_whose_parents_task_has_stopped_is_stopped_at_the_second_look() {
    let task = task(&[(PARENT_TASK, PARENTS_TASK)]);
    assert_eq!(sweep().parents_of(std::slice::from_ref(&task)), [PARENTS_TASK]);
    assert_eq!(swept(&mut sweep(), &task, Some(ParentTask::Dead)), 1);
}

#[test]
fn a_runner_whose_parent_lives_or_can_not_be_asked_for_is_left_alone() {
    let task = task(&[(PARENT_TASK, PARENTS_TASK)]);
    assert_eq!(swept(&mut sweep(), &task, Some(ParentTask::Alive)), 0);
    assert_eq!(swept(&mut sweep(), &task, None), 0);
}

#[test]
fn a_runner_of_a_parent_elsewhere_is_left_alone_however_old() {
    let mut old = task(&[]);
    old.created = Some(0);
    assert_eq!(swept(&mut sweep(), &old, Some(ParentTask::Dead)), 0);
}

#[test]
fn a_parent_in_another_region_or_account_is_never_taken_for_dead() {
    for elsewhere in [
        "arn:aws:ecs:eu-west-1:1:task/main/parent",
        "arn:aws:ecs:eu-central-1:2:task/main/parent",
        "arn:aws-cn:ecs:eu-central-1:1:task/main/parent",
        "main/parent",
    ] {
        let task = task(&[(PARENT_TASK, elsewhere)]);
        assert_eq!(sweep().parents_of(std::slice::from_ref(&task)), [""; 0], "{elsewhere}");
        let (mut sweep, begin) = (sweep(), start());
        let parents = HashMap::from([(elsewhere.to_owned(), ParentTask::Dead)]);
        let tasks = std::slice::from_ref(&task);
        for minutes in [0, 5, 10] {
            let now = begin + MINUTE * minutes;
            let (known, parents) = (&|_: &Task| false, &parents);
            let look = Look { now, unix: UNIX, tasks, ends_round: true, known, parents };
            assert_eq!(sweep.look(&look), [], "{elsewhere}");
        }
    }
}

#[test]
fn a_stray_of_this_parent_is_stopped_and_one_that_it_knows_never() {
    let stray = task(&[(PARENT, "p-me")]);
    assert_eq!(swept(&mut sweep(), &stray, None), 1);
    let (mut sweep, begin) = (sweep(), start());
    for minutes in 0..100 {
        assert_eq!(look(&mut sweep, begin + MINUTE * minutes, &stray, None, true), 0);
    }
}

#[test]
fn a_runner_beyond_its_lifetime_is_stopped_when_no_clock_can_explain_it() {
    let ends = |seconds_ago: i64| task(&[(ENDS_BY, &(UNIX - seconds_ago).to_string())]);
    assert_eq!(swept(&mut sweep(), &ends(301), None), 1);
    assert_eq!(swept(&mut sweep(), &ends(299), None), 0);
    assert_eq!(swept(&mut sweep(), &ends(-600), None), 0);
    assert_eq!(swept(&mut sweep(), &task(&[(ENDS_BY, "soon")]), None), 0);
}

#[test]
fn a_young_task_is_not_stopped() {
    let mut young = task(&[(PARENT_TASK, PARENTS_TASK)]);
    young.created = Some(UNIX - 599);
    assert_eq!(swept(&mut sweep(), &young, Some(ParentTask::Dead)), 0);
    young.created = None;
    assert_eq!(swept(&mut sweep(), &young, Some(ParentTask::Dead)), 0);
}

#[test]
fn looks_that_follow_each_other_too_soon_count_as_one() {
    let task = task(&[(PARENT_TASK, PARENTS_TASK)]);
    let (mut sweep, begin) = (sweep(), start());
    let dead = Some(ParentTask::Dead);
    for seconds in 0..300 {
        assert_eq!(look(&mut sweep, begin + Duration::from_secs(seconds), &task, dead, false), 0);
    }
    assert_eq!(look(&mut sweep, begin + MINUTE * 5, &task, dead, false), 1);
}

#[test]
fn a_look_at_which_it_is_none_takes_the_mark_away() {
    let task = task(&[(PARENT_TASK, PARENTS_TASK)]);
    let (mut sweep, begin) = (sweep(), start());
    let dead = Some(ParentTask::Dead);
    assert_eq!(look(&mut sweep, begin, &task, dead, false), 0);
    // Its parent was only not seen: ECS is eventually consistent.
    assert_eq!(look(&mut sweep, begin + MINUTE * 5, &task, Some(ParentTask::Alive), false), 0);
    assert_eq!(look(&mut sweep, begin + MINUTE * 10, &task, dead, false), 0);
    assert_eq!(look(&mut sweep, begin + MINUTE * 15, &task, dead, false), 1);
}

#[test]
fn what_is_not_of_this_pool_or_no_runner_or_ends_already_is_never_touched() {
    let dead = Some(ParentTask::Dead);
    let orphan = || task(&[(PARENT_TASK, PARENTS_TASK)]);
    let mut other_pool = orphan();
    other_pool.tags.insert(POOL.to_owned(), "others".to_owned());
    let mut no_runner = orphan();
    no_runner.tags.remove(RUNNER);
    let mut nobodys = orphan();
    nobodys.tags.clear();
    let mut ending = orphan();
    ending.desired = "STOPPED".to_owned();
    let mut without_parent = orphan();
    without_parent.tags.remove(PARENT);
    for task in [other_pool, no_runner, nobodys, ending, without_parent] {
        assert_eq!(swept(&mut sweep(), &task, dead), 0, "{task:?}");
    }
}

#[test]
fn a_mark_lasts_until_its_task_has_had_its_turn_in_a_round_of_several_looks() {
    let (mut sweep, begin) = (sweep(), start());
    let orphan = task(&[(PARENT, "p-me")]);
    let mut minutes = 0;
    let mut look = |tasks: &[Task], ends_round: bool| {
        minutes += 5;
        let (now, parents) = (begin + MINUTE * minutes, &HashMap::new());
        let look = Look { now, unix: UNIX, tasks, ends_round, known: &|_| false, parents };
        sweep.look(&look).len()
    };
    let orphans = std::slice::from_ref(&orphan);
    assert_eq!(look(orphans, false), 0);
    assert_eq!(look(&[], true), 0);
    assert_eq!(look(&[], false), 0, "others have their turn");
    assert_eq!(look(orphans, true), 1);
    // A whole round in which it is not seen.
    assert_eq!((look(&[], false), look(&[], true)), (0, 0));
    assert_eq!(look(orphans, true), 0, "it is marked anew");
}
