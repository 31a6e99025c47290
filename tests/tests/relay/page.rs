//! The page of a relay through which a pool works.

use flame_tests::process::{drains_cleanly, pids};
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{Test, demo, process_pool, tests};
use serde_json::Value;

use crate::fixtures::{MINUTE, behind_a_gate};

pub(crate) fn tests() -> Vec<Test> {
    tests![a_pool_is_shown_on_the_page_of_its_relay]
}

/// What the page shows now.
async fn view(relay: &TestRelay) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(relay.page("/view.json")).send().await.unwrap();
    answer.error_for_status().unwrap().json().await.unwrap()
}

/// What the page shows once this is so.
async fn view_when(relay: &TestRelay, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let waiting = async {
        while !is_so(&last) {
            last = view(relay).await;
        }
    };
    let waited = tokio::time::timeout(MINUTE / 2, waiting).await;
    assert!(waited.is_ok(), "the page does not show that {what}: {last:#}");
    last
}

fn rows<'a>(view: &'a Value, table: &str) -> &'a [Value] {
    view[table]["rows"].as_array().map_or(&[], Vec::as_slice)
}

async fn a_pool_is_shown_on_the_page_of_its_relay() {
    let relay = TestRelay::with_page(|_| {});
    let pool = process_pool("test").min(2).max(2).relay(relay.option());
    let pool = pool.start().await.unwrap();
    pool.ready().await;
    let before = pids(&pool);
    let both = |view: &Value| rows(view, "pairs").len() == 2;
    let shown = view_when(&relay, "both runners are connected", both).await;
    let parents = rows(&shown, "parents");
    assert_eq!((parents.len(), &parents[0]["registered"]), (1, &Value::from(2)));
    let refs: Vec<_> = pool.snapshot().runners.iter().map(|it| it.runner.to_string()).collect();
    for pair in rows(&shown, "pairs") {
        let short = pair["runner"].as_str().unwrap();
        assert!(refs.iter().any(|whole| whole.starts_with(short)), "{short} of {refs:?}");
        assert!(pair["to_parent"].as_u64() > Some(0), "the runner has greeted its parent: {pair}");
    }
    let text = shown.to_string();
    assert!(!refs.iter().any(|whole| text.contains(&whole[2..])) && !text.contains(KEY), "{text}");

    // The arguments of a call are bytes for its runner.
    let (gate, call, pid) = behind_a_gate(&pool).await;
    let sent = shown["to_runners"].as_u64().unwrap();
    pool.call(demo::tally(1, demo::bytes(1_000_000))).await.unwrap();
    let counts = |view: &Value| view["to_runners"].as_u64() >= Some(sent + 1_000_000);
    let shown = view_when(&relay, "a megabyte has passed", counts).await;
    let most = rows(&shown, "pairs").iter().filter_map(|pair| pair["to_runner"].as_u64()).max();
    assert!(most >= Some(1_000_000), "the bytes belong to one of the pairs: {shown:#}");
    gate.open();
    assert_eq!(call.await.unwrap().unwrap(), pid);

    drains_cleanly(&pool, &before).await;
    drop(pool);
    let is_empty = |view: &Value| {
        view["connections"] == 0 && view["registered"] == 0 && rows(view, "pairs").is_empty()
    };
    let shown = view_when(&relay, "nothing is connected any more", is_empty).await;
    assert!(shown["paired"].as_u64() >= Some(2));
}
