use super::*;

fn too_many(limit: Limit, max: usize) -> Refusal {
    Refusal::TooMany { limit, max }
}

#[test]
fn unknown_runners_and_tickets_are_refused() {
    let mut t = Test::new(limits());
    let _parent = t.parent_of_runner();
    assert_eq!(t.runner(2, 9).unwrap_err(), Refusal::UnknownRunner);
    t.runner(1, 9).unwrap();
    assert_eq!(t.socket(8, A).unwrap_err(), Refusal::UnknownTicket);
    assert_eq!(t.socket(9, B).unwrap_err(), Refusal::UnknownTicket, "another key");
    assert!(t.socket(9, A).is_ok(), "the attempt with another key has not used the ticket up");
    assert_eq!(t.socket(9, A).unwrap_err(), Refusal::UnknownTicket, "used");
}

#[test]
fn a_runner_whose_parent_does_not_answer_is_refused_once() {
    let mut t = Test::new(limits());
    let _parent = t.parent_of_runner();
    let id = t.runner(1, 9).unwrap();
    t.actions();
    t.pass(limits().pair_timeout - Duration::from_millis(1));
    assert_eq!(t.actions(), []);
    t.pass(Duration::from_millis(1));
    let waited = limits().pair_timeout;
    assert_eq!(t.actions(), [Action::Refuse(id, Refusal::ParentTimeout { waited })]);
    assert_eq!(t.socket(9, A).unwrap_err(), Refusal::UnknownTicket);
    assert_eq!(t.state.count(ConnectionKind::Runner), 0);
}

#[test]
fn a_runner_that_leaves_is_not_answered_and_its_ticket_ends() {
    let mut t = Test::new(limits());
    let _parent = t.parent_of_runner();
    let id = t.runner(1, 9).unwrap();
    t.actions();
    t.state.disconnected(id);
    assert_eq!(t.socket(9, A).unwrap_err(), Refusal::UnknownTicket);
    t.pass(HOUR / 2);
    assert_eq!(t.actions(), []);
}

#[test]
fn a_runner_that_waits_is_refused_when_its_parent_disconnects() {
    let mut t = Test::new(limits());
    let parent = t.parent_of_runner();
    let id = t.runner(1, 9).unwrap();
    t.actions();
    t.state.disconnected(parent);
    assert_eq!(t.actions(), [Action::Refuse(id, Refusal::ParentLost)]);
}

#[test]
fn the_sockets_of_one_runner_that_wait_are_limited() {
    let mut t = Test::new(limits());
    let _parent = t.parent_of_runner();
    for n in 0..MAX_WAITING_PER_RUNNER as u8 {
        t.runner(1, n).unwrap();
    }
    let full = too_many(Limit::WaitingPerRunner, MAX_WAITING_PER_RUNNER);
    assert_eq!(t.runner(1, 9).unwrap_err(), full);
    t.socket(0, A).unwrap();
    assert!(t.runner(1, 9).is_ok());
}

#[test]
fn connections_in_all_per_address_and_per_key_are_limited() {
    for (limit, max, refused) in [
        (Limit::Connections, 2, Limits { connections: 2, ..limits() }),
        (Limit::PerAddress, 2, Limits { connections_per_address: 2, ..limits() }),
        (Limit::PerKey, 2, Limits { connections_per_key: 2, ..limits() }),
    ] {
        let mut t = Test::new(refused);
        let first = t.parent(A);
        t.parent(A);
        assert_eq!(
            t.state.parent_connected(t.now, A, PARENT_ADDRESS).unwrap_err(),
            too_many(limit, max)
        );
        t.state.disconnected(first);
        t.parent(A);
    }
}

#[test]
fn runners_count_against_the_key_of_their_parent() {
    let mut t = Test::new(Limits { connections_per_key: 2, ..limits() });
    let _parent = t.parent_of_runner();
    t.runner(1, 9).unwrap();
    assert_eq!(t.runner(1, 8).unwrap_err(), too_many(Limit::PerKey, 2));
    assert_eq!(t.socket(9, A).unwrap_err(), too_many(Limit::PerKey, 2));
    t.parent(B);
}

#[test]
fn a_ticket_stays_valid_if_its_socket_was_over_a_limit() {
    let mut t = Test::new(Limits { connections: 3, ..limits() });
    let _parent = t.parent_of_runner();
    let other = t.parent(B);
    t.runner(1, 9).unwrap();
    assert_eq!(t.socket(9, A).unwrap_err(), too_many(Limit::Connections, 3));
    t.state.disconnected(other);
    assert!(t.socket(9, A).is_ok());
}
