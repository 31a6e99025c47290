use super::*;

const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_draining_relay_tells_its_parents_and_refuses_the_runners_that_wait() {
    let mut t = Test::new(limits());
    let parent = t.parent_of_runner();
    t.runner(1, 8).unwrap();
    let paired = t.socket(8, A).unwrap();
    let id = t.runner(1, 9).unwrap();
    t.actions();
    t.state.drain(WITHIN);
    let told = Action::Send(parent, RelayToParent::Draining { within_ms: 30_000 });
    assert_eq!(t.actions(), [told, Action::Refuse(id, Refusal::Draining)]);
    t.state.drain(WITHIN);
    assert_eq!(t.actions(), [], "the parents are told once");
    assert_eq!(t.state.count(ConnectionKind::Socket), 1, "pairs stay connected");
    t.state.disconnected(paired.socket_connection);
}

#[test]
fn a_draining_relay_admits_no_connection() {
    let mut t = Test::new(limits());
    let _parent = t.parent_of_runner();
    t.runner(1, 9).unwrap();
    t.state.drain(WITHIN);
    assert!(t.state.is_draining());
    assert_eq!(t.runner(1, 8).unwrap_err(), Refusal::Draining);
    assert_eq!(t.state.parent_connected(t.now, A, PARENT_ADDRESS).unwrap_err(), Refusal::Draining);
    assert_eq!(t.socket(9, A).unwrap_err(), Refusal::UnknownTicket);
}
