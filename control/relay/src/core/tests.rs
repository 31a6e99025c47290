use std::net::Ipv4Addr;

use super::*;

mod drain;
mod refusals;
mod registrations;
mod snapshot;

const A: KeyId = KeyId(1);
const B: KeyId = KeyId(2);
const PARENT_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const RUNNER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const HOUR: Duration = Duration::from_secs(3600);

fn limits() -> Limits {
    Limits {
        connections: 20,
        connections_per_address: 15,
        connections_per_key: 10,
        runners_per_parent: 3,
        pair_timeout: Duration::from_secs(10),
    }
}

fn runner(n: u8) -> RunnerRef {
    RunnerRef::from_bytes([n; 16])
}

fn ticket(n: u8) -> Ticket {
    Ticket::from_bytes([n; 16])
}

/// A relay at a time that only the test moves.
struct Test {
    state: RelayState,
    now: Instant,
}

impl Test {
    #[expect(clippy::disallowed_methods, reason = "an arbitrary time to start from")]
    fn new(limits: Limits) -> Self {
        Self { state: RelayState::new(limits), now: Instant::now() }
    }

    fn parent(&mut self, key: KeyId) -> ConnectionId {
        self.state.parent_connected(self.now, key, PARENT_ADDRESS).unwrap()
    }

    /// A parent that has registered `runner(1)`.
    fn parent_of_runner(&mut self) -> ConnectionId {
        let parent = self.parent(A);
        self.register(parent, &[1]);
        assert_eq!(self.actions(), []);
        parent
    }

    fn register(&mut self, parent: ConnectionId, runners: &[u8]) {
        let runners = runners.iter().map(|&n| runner(n)).collect();
        self.state.register(self.now, parent, runners, HOUR);
    }

    fn runner(&mut self, n: u8, with: u8) -> Result<ConnectionId, Refusal> {
        self.state.runner_arrived(self.now, runner(n), RUNNER_ADDRESS, ticket(with))
    }

    fn socket(&mut self, with: u8, key: KeyId) -> Result<Pairing, Refusal> {
        self.state.socket_arrived(self.now, ticket(with), key, PARENT_ADDRESS)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.state.handle_timeout(self.now);
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.state.poll_action()).collect()
    }
}

fn waiting(parent: ConnectionId, n: u8, with: u8, within: Duration) -> Action {
    let within_ms = millis(within);
    let (runner, ticket) = (runner(n), ticket(with));
    Action::Send(parent, RelayToParent::RunnerWaiting { runner, ticket, within_ms })
}

fn rejected(parent: ConnectionId, runners: &[u8]) -> Action {
    let runners = runners.iter().map(|&n| runner(n)).collect();
    Action::Send(parent, RelayToParent::Rejected { runners, max_runners: 3 })
}

#[test]
fn a_runner_meets_the_socket_that_its_parent_opens() {
    let mut t = Test::new(limits());
    let parent = t.parent_of_runner();
    let id = t.runner(1, 9).unwrap();
    assert_eq!(t.actions(), [waiting(parent, 1, 9, limits().pair_timeout)]);
    t.pass(Duration::from_secs(2));
    let pairing = t.socket(9, A).unwrap();
    assert_eq!((pairing.runner_connection, pairing.runner), (id, runner(1)));
    assert_eq!(pairing.waited, Duration::from_secs(2));
    t.pass(Duration::from_secs(60));
    assert_eq!(t.actions(), [], "a paired runner is not refused later");
    assert_eq!(t.state.count(ConnectionKind::Runner), 1);
    for id in [id, pairing.socket_connection, parent] {
        t.state.disconnected(id);
        t.state.disconnected(id);
    }
    assert!(t.state.connections.is_empty());
    assert_eq!(t.state.poll_timeout(), None);
}

#[test]
fn the_next_timeout_is_the_earliest_of_all() {
    let mut t = Test::new(limits());
    assert_eq!(t.state.poll_timeout(), None);
    let _parent = t.parent_of_runner();
    assert_eq!(t.state.poll_timeout(), Some(t.now + HOUR));
    let id = t.runner(1, 9).unwrap();
    assert_eq!(t.state.poll_timeout(), Some(t.now + limits().pair_timeout));
    t.state.disconnected(id);
    assert_eq!(t.state.poll_timeout(), Some(t.now + HOUR));
}
