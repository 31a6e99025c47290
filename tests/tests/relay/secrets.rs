//! The key of a relay, on its parent's side.

use flame_tests::program::Program;
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{Test, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![the_key_of_a_relay_stays_in_the_parent]
}

async fn the_key_of_a_relay_stays_in_the_parent() {
    let relay = TestRelay::start();
    let variables =
        [("FLAME_RELAY_URL", &*relay.url()), ("FLAME_RELAY_KEY", KEY), ("DEMO_TRACE", "trace")];
    let (printed, logged) = Program::start("relay_secret", &variables).finish().await;
    assert!(printed.contains("other than visible ASCII"), "{printed}");
    assert!(logged.contains("connected to a relay"), "the parent's records are in the log");
    assert!(!printed.contains(KEY), "{printed}");
    assert!(!logged.contains(KEY));
}
