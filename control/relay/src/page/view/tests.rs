use flame_wire::relay::Ticket;
use serde_json::json;

use super::*;
use crate::core::RelayState;
use crate::keys::{KeyId, KeyTexts};
use crate::pair::{PairEnds, PairTable};

const PARENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const RUNNER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const MINUTE: Duration = Duration::from_secs(60);

fn runner(n: u8) -> RunnerRef {
    RunnerRef::from_bytes([n; 16])
}

/// The JSON of a relay with these tables, at most one row of each.
fn view(
    state: &RelayState,
    pairs: &PairTable,
    totals: &Totals,
    start: Instant,
) -> serde_json::Value {
    let config = Config::new(([127, 0, 0, 1], 0).into(), KeyTexts::none());
    let view = View::of(Reading {
        clock: WallClock { origin: start, unix: Duration::from_secs(1_000) },
        config: &config,
        node: "node",
        keys: 2,
        snapshot: state.snapshot(1),
        pairs: pairs.latest(1),
        handshakes: 7,
        totals,
        drain_ends: None,
    });
    serde_json::to_value(view).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an arbitrary time to start from")]
fn a_view_has_what_a_snapshot_has_and_counts_the_rows_that_it_leaves_out() {
    let start = Instant::now();
    let config = Config::new(([127, 0, 0, 1], 0).into(), KeyTexts::none());
    let mut state = RelayState::new(config.limits);
    state.parent_connected(start, KeyId(1), PARENT).unwrap();
    let parent = state.parent_connected(start + MINUTE, KeyId(2), PARENT).unwrap();
    state.register(start, parent, vec![runner(1), runner(2), runner(3)], 9 * MINUTE);
    let ticket = Ticket::from_bytes([0xab; 16]);
    state.runner_arrived(start + MINUTE, runner(1), RUNNER, ticket).unwrap();
    let view = view(&state, &PairTable::default(), &Totals::default(), start);
    let parents = json!([
        { "id": 2, "address": "10.0.0.1", "key": 2, "registered": 3, "since": 1_060_000 }
    ]);
    assert_eq!(view["parents"], json!({ "rows": parents, "more": 1 }));
    let waiting = json!([{
        "id": 3, "runner": "f-01010101", "address": "10.0.0.2", "parent": "10.0.0.1",
        "since": 1_060_000, "until": 1_068_000,
    }]);
    assert_eq!(view["waiting"], json!({ "rows": waiting, "more": 0 }));
    assert_eq!((&view["started"], &view["keys"]), (&json!(1_000_000), &json!(2)));
    let used = |n: usize| (view["limits"][n]["used"].clone(), view["limits"][n]["by"].clone());
    assert_eq!(used(0), (json!(3), json!(null)));
    assert_eq!(used(1), (json!(2), json!("10.0.0.1")));
    assert_eq!(used(2), (json!(2), json!("key 2")));
    assert_eq!(used(3), (json!(3), json!("10.0.0.1")));
    assert_eq!(used(4), (json!(7), json!(null)));
    let text = view.to_string();
    for secret in [runner(1).to_string(), ticket.to_path()] {
        assert!(!text.contains(&secret), "{secret} is in {text}");
    }
}

#[test]
fn a_pair_is_shown_with_its_bytes_and_its_last_message_until_it_ends() {
    let (table, totals) = (PairTable::default(), Arc::new(Totals::default()));
    let mut state = RelayState::new(Config::new(([0; 4], 0).into(), KeyTexts::none()).limits);
    let start = tokio::time::Instant::now();
    let mut enter = |n: u8| {
        let id = state.parent_connected(start.into_std(), KeyId(1), PARENT).unwrap();
        let ends =
            PairEnds { id, runner: runner(n), runner_address: RUNNER, parent_address: PARENT };
        table.enter(ends, totals.clone())
    };
    let (_first, second) = (enter(1), enter(2));
    let seen = || {
        let none = RelayState::new(Config::new(([0; 4], 0).into(), KeyTexts::none()).limits);
        view(&none, &table, &totals, start.into_std())
    };
    let before = seen()["pairs"]["rows"][0].clone();
    assert_eq!((&before["runner"], &before["to_parent"]), (&json!("f-02020202"), &json!(0)));
    assert_eq!(before["last_message"], before["since"], "it has been idle from the start");
    let since = table.latest(1).rows[0].since;
    second.forwarded(since + MINUTE, Peer::Parent, 30);
    second.forwarded(since + MINUTE, Peer::Runner, 4);
    let after = seen();
    let row = &after["pairs"]["rows"][0];
    assert_eq!((&row["to_parent"], &row["to_runner"]), (&json!(30), &json!(4)));
    let idle_since = row["last_message"].as_u64().unwrap() - row["since"].as_u64().unwrap();
    assert_eq!(idle_since, 60_000);
    assert_eq!((&after["to_parents"], &after["to_runners"]), (&json!(30), &json!(4)));
    assert_eq!(after["pairs"]["more"], 1);
    drop(second);
    let rest = seen();
    assert_eq!((&rest["pairs"]["rows"][0]["runner"]), &json!("f-01010101"));
    assert_eq!((&rest["pairs"]["more"], &rest["to_parents"]), (&json!(0), &json!(30)));
}

#[test]
fn a_network_of_ipv6_is_shown_as_one() {
    assert_eq!(network("2001:db8:0:1::".parse().unwrap()), "2001:db8:0:1::/64");
    assert_eq!(network(PARENT), "10.0.0.1");
}
