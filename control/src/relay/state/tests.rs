use super::*;

const FIRST: RelayIndex = RelayIndex(0);
const SECOND: RelayIndex = RelayIndex(1);
const HALF: f64 = 0.5;

fn runner(number: u8) -> RunnerRef {
    RunnerRef::from_bytes([number; 16])
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn state(urls: &[&str]) -> (Instant, RelayClientState) {
    let urls: Vec<_> = urls.iter().map(|&url| url.to_owned()).collect();
    let now = now();
    (now, RelayClientState::new(now, &urls))
}

/// The state with one relay, which is connected and knows these runners.
fn connected_with(runners: &[RunnerRef]) -> (Instant, RelayClientState) {
    let (now, mut state) = state(&["ws://a"]);
    state.connecting(FIRST);
    state.connected(now, FIRST, None);
    runners.iter().for_each(|runner| state.register(*runner));
    while state.poll_send(now, FIRST).is_some() {}
    (now, state)
}

fn register(runners: &[RunnerRef]) -> Option<ParentToRelay> {
    let expires_in_ms = millis(EXPIRY);
    Some(ParentToRelay::Register { runners: runners.to_vec(), expires_in_ms })
}

#[test]
fn the_first_attempt_is_due_at_once() {
    let (now, mut state) = state(&["ws://a"]);
    assert_eq!(state.attempt_at(FIRST), Some(now));
    state.connecting(FIRST);
    assert_eq!(state.attempt_at(FIRST), None);
}

#[test]
fn a_relay_learns_of_each_runner_once_and_of_its_end() {
    let (now, mut state) = connected_with(&[]);
    assert_eq!(state.poll_send(now, FIRST), None);
    state.register(runner(1));
    state.register(runner(2));
    assert_eq!(state.poll_send(now, FIRST), register(&[runner(1), runner(2)]));
    assert_eq!(state.poll_send(now, FIRST), None);
    state.unregister(runner(1));
    let unregister = ParentToRelay::Unregister { runners: vec![runner(1)] };
    assert_eq!(state.poll_send(now, FIRST), Some(unregister));
    assert_eq!(state.poll_send(now, FIRST), None);
}

#[test]
fn a_relay_that_connects_again_learns_of_all_runners() {
    let (now, mut state) = connected_with(&[runner(1)]);
    state.disconnected(now, FIRST, HALF);
    state.register(runner(2));
    assert_eq!(state.poll_send(now, FIRST), None, "it is not connected");
    state.connecting(FIRST);
    state.connected(now, FIRST, None);
    assert_eq!(state.poll_send(now, FIRST), register(&[runner(1), runner(2)]));
}

#[test]
fn registrations_are_renewed_long_before_they_expire() {
    let (now, mut state) = connected_with(&[runner(1)]);
    let renew_at = state.renew_at(FIRST).unwrap();
    assert!(renew_at - now <= EXPIRY / 2);
    assert_eq!(state.poll_send(renew_at - Duration::from_millis(1), FIRST), None);
    assert_eq!(state.poll_send(renew_at, FIRST), register(&[runner(1)]));
    assert_eq!(state.poll_send(renew_at, FIRST), None);
    assert!(state.renew_at(FIRST).unwrap() > renew_at);
}

#[test]
fn no_message_names_more_runners_than_a_relay_accepts() {
    let runners: Vec<_> =
        (0..2 * MAX_BATCH + 1).map(|n| RunnerRef::from_bytes((n as u128).to_be_bytes())).collect();
    let (now, mut state) = connected_with(&runners);
    state.disconnected(now, FIRST, HALF);
    state.connected(now, FIRST, None);
    let mut named = Vec::new();
    while let Some(message) = state.poll_send(now, FIRST) {
        ParentToRelay::decode(&message.encode().unwrap()).unwrap();
        let ParentToRelay::Register { runners, .. } = message else { panic!("{message:?}") };
        named.extend(runners);
    }
    assert_eq!(named, runners);
}

#[test]
fn pauses_grow_up_to_a_bound_and_a_useful_connection_resets_them() {
    let (now, mut state) = state(&["ws://a"]);
    let mut pause = || {
        state.connecting(FIRST);
        state.disconnected(now, FIRST, 1.0);
        state.attempt_at(FIRST).unwrap() - now
    };
    let pauses: Vec<_> = (0..40).map(|_| pause()).collect();
    assert_eq!(pauses[0], Duration::from_millis(200));
    assert!(pauses.is_sorted());
    assert_eq!(pauses[39], PAUSES.max());

    // A relay that accepts connections and closes them at once is not tried more often.
    state.connected(now, FIRST, None);
    state.disconnected(now, FIRST, 1.0);
    assert_eq!(state.attempt_at(FIRST).unwrap() - now, PAUSES.max());

    state.connected(now, FIRST, None);
    let later = state.renew_at(FIRST).unwrap();
    state.poll_send(later, FIRST);
    state.disconnected(later, FIRST, 1.0);
    assert_eq!(state.attempt_at(FIRST).unwrap() - later, Duration::from_millis(200));
}

#[test]
fn a_pause_is_at_least_half_of_its_full_length() {
    let (now, mut state) = state(&["ws://a"]);
    state.disconnected(now, FIRST, 0.0);
    assert_eq!(state.attempt_at(FIRST).unwrap() - now, Duration::from_millis(100));
}

#[test]
fn the_first_connected_relay_is_home_and_its_node_comes_first() {
    let (now, mut state) = state(&["ws://a", "ws://b"]);
    assert_eq!(state.base_addresses(), ["ws://a", "ws://b"]);
    state.connected(now, SECOND, Some("ws://10.0.0.2:80".to_owned()));
    assert_eq!(state.base_addresses(), ["ws://10.0.0.2:80", "ws://a", "ws://b"]);
    state.connected(now, FIRST, None);
    assert_eq!(state.base_addresses(), ["ws://10.0.0.2:80", "ws://a", "ws://b"]);
}

#[test]
fn the_home_relay_stays_home_while_it_is_connected() {
    let (now, mut state) = state(&["ws://a", "ws://b"]);
    state.connected(now, FIRST, None);
    state.connected(now, SECOND, None);
    state.disconnected(now, FIRST, HALF);
    assert_eq!(state.base_addresses(), ["ws://b", "ws://a"]);
    state.connected(now, FIRST, None);
    assert_eq!(state.base_addresses(), ["ws://b", "ws://a"], "no change without need");
    state.disconnected(now, SECOND, HALF);
    state.disconnected(now, FIRST, HALF);
    state.connected(now, SECOND, None);
    assert_eq!(state.base_addresses(), ["ws://b", "ws://a"]);
}

#[test]
fn a_runner_gets_three_addresses_at_most_and_none_twice() {
    let (now, mut state) = state(&["ws://a", "ws://b", "ws://c"]);
    for (index, node) in [(0, "ws://n0"), (1, "ws://n1"), (2, "ws://c")] {
        state.connected(now, RelayIndex(index), Some(node.to_owned()));
    }
    assert_eq!(state.base_addresses(), ["ws://n0", "ws://n1", "ws://c"]);
    let address = address_for("ws://n0", runner(1));
    assert_eq!(address, format!("ws://n0/v1/runner/{}", runner(1)));
}

#[test]
fn the_node_of_a_draining_relay_is_forgotten_and_another_relay_becomes_home() {
    let (now, mut state) = state(&["ws://a", "ws://b"]);
    state.connected(now, FIRST, Some("ws://n0".to_owned()));
    state.connected(now, SECOND, None);
    state.draining(now, FIRST, HALF);
    assert_eq!(state.base_addresses(), ["ws://b", "ws://a"]);
    assert!(state.attempt_at(FIRST).is_some());
    // A node whose connection only broke may still be there.
    state.connected(now, FIRST, Some("ws://n1".to_owned()));
    state.disconnected(now, FIRST, HALF);
    assert_eq!(state.base_addresses(), ["ws://b", "ws://n1", "ws://a"]);
}

#[test]
fn only_registered_runners_are_served() {
    let (now, mut state) = connected_with(&[runner(1)]);
    assert_eq!(state.node_addresses(FIRST, runner(1)), ["ws://a"]);
    assert!(state.node_addresses(FIRST, runner(2)).is_empty());
    state.connected(now, FIRST, Some("ws://n0".to_owned()));
    assert_eq!(state.node_addresses(FIRST, runner(1)), ["ws://n0", "ws://a"]);
    state.unregister(runner(1));
    assert!(state.node_addresses(FIRST, runner(1)).is_empty());
}

#[test]
fn the_address_at_which_a_node_was_reached_is_tried_first_until_the_node_is_another() {
    let (now, mut state) = connected_with(&[runner(1)]);
    state.connected(now, FIRST, Some("ws://n0".to_owned()));
    state.reached_at(FIRST, "ws://a");
    assert_eq!(state.node_addresses(FIRST, runner(1)), ["ws://a", "ws://n0"]);
    state.connected(now, FIRST, Some("ws://n0".to_owned()));
    assert_eq!(state.node_addresses(FIRST, runner(1)), ["ws://a", "ws://n0"]);
    state.reached_at(FIRST, "ws://n0");
    assert_eq!(state.node_addresses(FIRST, runner(1)), ["ws://n0", "ws://a"]);
    state.reached_at(FIRST, "ws://a");
    state.connected(now, FIRST, Some("ws://n1".to_owned()));
    assert_eq!(state.node_addresses(FIRST, runner(1)), ["ws://n1", "ws://a"]);
}

#[test]
fn a_runner_that_every_connected_relay_rejects_has_a_reason_and_is_registered_again() {
    let (now, mut state) = state(&["ws://a", "ws://b"]);
    state.connected(now, FIRST, None);
    state.register(runner(1));
    assert_eq!(state.rejection(runner(1)), None);
    state.rejected(FIRST, &[runner(1), runner(2)], 10);
    assert_eq!(state.rejection(runner(1)), Some(10));
    assert_eq!(state.rejection(runner(2)), None, "it was never registered");
    state.connected(now, SECOND, None);
    assert_eq!(state.rejection(runner(1)), None, "the other relay accepts it");
    let renew_at = state.renew_at(FIRST).unwrap();
    while let Some(message) = state.poll_send(renew_at, FIRST) {
        assert_eq!(Some(message), register(&[runner(1)]));
    }
    state.disconnected(now, SECOND, HALF);
    assert_eq!(state.rejection(runner(1)), None);
}

#[test]
fn after_a_jump_of_the_clock_all_runners_are_registered_again_and_then_as_often_as_before() {
    const HOUR: Duration = Duration::from_secs(3600);
    let (now, mut state) = connected_with(&[runner(1), runner(2)]);
    let later = now + HOUR;
    assert_eq!(state.poll_send(later, FIRST), register(&[runner(1), runner(2)]));
    assert_eq!(state.poll_send(later, FIRST), None, "the renewals of an hour are not made up for");
    assert_eq!(state.renew_at(FIRST), Some(later + RENEWAL));
    // The connection is found to be broken, and the next attempt is not an hour away.
    state.disconnected(later, FIRST, HALF);
    assert!(state.attempt_at(FIRST).unwrap() <= later + PAUSES.pause(1, 1.0));
    state.connected(later, FIRST, None);
    assert_eq!(state.poll_send(later, FIRST), register(&[runner(1), runner(2)]));
}

#[test]
fn an_attempt_that_a_jump_of_the_clock_has_skipped_is_due_at_once() {
    let (now, mut state) = state(&["ws://a"]);
    state.disconnected(now, FIRST, HALF);
    assert!(state.attempt_at(FIRST).unwrap() < now + Duration::from_secs(3600));
}
