use super::*;

#[test]
fn a_registration_ends_with_its_connection() {
    let mut t = Test::new(limits());
    let parent = t.parent_of_runner();
    t.state.disconnected(parent);
    assert_eq!(t.runner(1, 9).unwrap_err(), Refusal::UnknownRunner);
    assert_eq!(t.state.registered(), 0);
}

#[test]
fn a_registration_expires_unless_it_is_renewed() {
    let mut t = Test::new(limits());
    let parent = t.parent(A);
    t.register(parent, &[1, 2]);
    t.pass(HOUR / 2);
    t.register(parent, &[1]);
    t.pass(HOUR / 2);
    assert!(t.runner(1, 8).is_ok());
    assert_eq!(t.runner(2, 9).unwrap_err(), Refusal::UnknownRunner);
}

#[test]
fn an_unregistered_runner_is_refused_even_while_it_waits() {
    let mut t = Test::new(limits());
    let parent = t.parent_of_runner();
    let id = t.runner(1, 9).unwrap();
    t.actions();
    t.state.unregister(parent, &[runner(1), runner(2)]);
    assert_eq!(t.actions(), [Action::Refuse(id, Refusal::UnknownRunner)]);
    assert_eq!(t.runner(1, 8).unwrap_err(), Refusal::UnknownRunner);
}

#[test]
fn only_the_owner_can_unregister_a_runner() {
    let mut t = Test::new(limits());
    let _parent = t.parent_of_runner();
    let other = t.parent(A);
    t.state.unregister(other, &[runner(1)]);
    assert!(t.runner(1, 9).is_ok());
}

#[test]
fn a_parent_registers_no_more_runners_than_its_limit() {
    let mut t = Test::new(limits());
    let parent = t.parent(A);
    t.register(parent, &[1, 2, 3, 4, 5]);
    assert_eq!(t.actions(), [rejected(parent, &[4, 5])]);
    t.register(parent, &[3, 2, 1]);
    assert_eq!(t.actions(), [], "renewals need no room");
    t.state.unregister(parent, &[runner(1)]);
    t.register(parent, &[4]);
    assert_eq!(t.actions(), []);
}

#[test]
fn a_parent_that_reconnects_takes_its_runners_over() {
    let mut t = Test::new(limits());
    let old = t.parent_of_runner();
    t.runner(1, 9).unwrap();
    t.actions();
    t.pass(Duration::from_secs(4));
    let new = t.parent(A);
    t.register(new, &[1]);
    let rest = limits().pair_timeout - Duration::from_secs(4);
    assert_eq!(
        t.actions(),
        [waiting(new, 1, 9, rest)],
        "the new connection is told of the waiting runner"
    );
    t.state.disconnected(old);
    assert_eq!(t.actions(), [], "the end of the old connection changes nothing");
    assert!(t.socket(9, A).is_ok());
    t.runner(1, 8).unwrap();
    assert_eq!(t.actions(), [waiting(new, 1, 8, limits().pair_timeout)]);
}

#[test]
fn a_runner_of_another_key_is_rejected() {
    let mut t = Test::new(limits());
    let owner = t.parent_of_runner();
    let other = t.parent(B);
    t.register(other, &[1]);
    assert_eq!(t.actions(), [rejected(other, &[1])]);
    t.runner(1, 9).unwrap();
    assert_eq!(t.actions(), [waiting(owner, 1, 9, limits().pair_timeout)]);
}

#[test]
fn the_longest_times_do_not_overflow() {
    let mut t = Test::new(Limits { pair_timeout: Duration::MAX, ..limits() });
    let parent = t.parent(A);
    t.state.register(t.now, parent, vec![runner(1)], Duration::MAX);
    assert!(t.runner(1, 9).is_ok());
}

#[test]
fn a_connection_that_has_ended_registers_nothing() {
    let mut t = Test::new(limits());
    let parent = t.parent(A);
    t.state.disconnected(parent);
    t.register(parent, &[1]);
    assert_eq!((t.actions(), t.state.registered()), (vec![], 0));
}

#[test]
fn a_revoked_key_loses_its_control_connections_but_not_its_pairs() {
    let mut t = Test::new(limits());
    let parent = t.parent_of_runner();
    let other = t.parent(B);
    t.runner(1, 8).unwrap();
    t.socket(8, A).unwrap();
    let id = t.runner(1, 9).unwrap();
    t.actions();
    t.state.key_revoked(A);
    let refused = Action::Refuse(id, Refusal::ParentLost);
    assert_eq!(t.actions(), [Action::Disconnect(parent), refused]);
    assert_eq!(t.state.count(ConnectionKind::Socket), 1);
    t.register(other, &[1]);
    assert!(t.runner(1, 7).is_ok());
}

#[test]
fn after_a_jump_of_the_clock_all_runners_can_be_registered_again() {
    let timed_out = Refusal::ParentTimeout { waited: limits().pair_timeout };
    let mut t = Test::new(limits());
    let parent = t.parent_of_runner();
    let id = t.runner(1, 8).unwrap();
    t.actions();
    // A renewal that arrives before the timer notices the jump is not undone by the timer.
    t.now += 2 * HOUR;
    t.register(parent, &[1]);
    t.pass(Duration::ZERO);
    assert_eq!(t.actions(), [Action::Refuse(id, timed_out.clone())]);
    let id = t.runner(1, 9).unwrap();
    t.actions();
    // The timer notices the jump first.
    t.pass(2 * HOUR);
    assert_eq!(t.actions(), [Action::Refuse(id, timed_out)]);
    assert_eq!(t.state.registered(), 0);
    t.register(parent, &[1]);
    assert!(t.runner(1, 7).is_ok());
}
