//! The addresses that runners get.

use flame_tests::process::drains_cleanly;
use flame_tests::relay::TestRelay;
use flame_tests::{Test, demo, process_pool, tests};

use crate::fixtures::pool_with_a_runner;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_addresses_of_a_runner_lead_to_the_relay,
        a_parent_that_cannot_reach_the_own_address_of_a_node_uses_the_url,
    ]
}

async fn the_addresses_of_a_runner_lead_to_the_relay() {
    let relay = TestRelay::start();
    let (pool, parent, pid) = pool_with_a_runner(&relay).await;
    assert_eq!(parent.addresses, [format!("{}/v1/runner/{}", relay.url(), parent.runner)]);
    drains_cleanly(&pool, &[pid]).await;
}

/// As a laptop whose relay is in a private network: only runners reach the node's own address.
async fn a_parent_that_cannot_reach_the_own_address_of_a_node_uses_the_url() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = TestRelay::start_at(([127, 0, 0, 1], 0).into(), |config| {
        config.address = Some(format!("ws://{nowhere}"));
    });
    let pool = process_pool("test").relay(relay.option()).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    drains_cleanly(&pool, &[]).await;
}
