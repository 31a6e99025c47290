use super::*;

#[test]
fn a_snapshot_has_the_latest_parents_and_the_runners_that_wait_for_longest() {
    let mut t = Test::new(limits());
    let start = t.now;
    let first = t.parent_of_runner();
    let waiting = t.runner(1, 8).unwrap();
    t.pass(Duration::from_secs(3));
    let second = t.parent(B);
    t.register(second, &[2, 3]);
    t.runner(2, 9).unwrap();
    let snapshot = t.state.snapshot(1);
    let parent = ParentRow {
        id: second,
        address: PARENT_ADDRESS,
        key: B,
        registered: 2,
        since: start + Duration::from_secs(3),
    };
    assert_eq!(snapshot.parents, Rows { rows: vec![parent], total: 2 });
    let runner = WaitingRow {
        id: waiting,
        runner: runner(1),
        address: RUNNER_ADDRESS,
        parent: Some(PARENT_ADDRESS),
        since: start,
        until: start + limits().pair_timeout,
    };
    assert_eq!(snapshot.waiting, Rows { rows: vec![runner], total: 2 });
    let rest = t.state.snapshot(9).parents.rows;
    assert_eq!((rest.len(), rest[1].id), (2, first));
}

#[test]
fn a_snapshot_names_who_has_used_most_of_each_limit() {
    let mut t = Test::new(limits());
    let nothing = t.state.snapshot(9);
    assert_eq!(nothing.most_per_address, None);
    assert_eq!((nothing.connections, nothing.most_per_parent), (0, None));
    t.parent_of_runner();
    let other = t.parent(B);
    t.register(other, &[2, 3]);
    t.runner(1, 9).unwrap();
    t.socket(9, A).unwrap();
    let snapshot = t.state.snapshot(0);
    assert_eq!(snapshot.connections, 4);
    assert_eq!(snapshot.most_per_address, Some((PARENT_ADDRESS, 3)));
    assert_eq!(snapshot.most_per_key, Some((A, 3)));
    assert_eq!(snapshot.most_per_parent, Some((PARENT_ADDRESS, 2)));
    assert_eq!(snapshot.registered, 3);
    t.state.unregister(other, &[runner(2), runner(3)]);
    assert_eq!(t.state.snapshot(0).most_per_parent.unwrap().1, 1);
}
