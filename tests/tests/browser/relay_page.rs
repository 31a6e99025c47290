//! The page of a relay in a real browser.

use std::time::Duration;

use flame_link::{RelaySocket, dial, dial_relay};
use flame_relay::config::Config;
use flame_tests::browser::Browser;
use flame_tests::demo;
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{Test, process_pool, tests};
use flame_wire::ids::RunnerRef;
use flame_wire::parent::Fingerprint;
use flame_wire::relay::{PARENT_PATH, ParentToRelay, RUNNER_PATH};
use serde_json::json;

use crate::looks::{fits_every_width_and_is_legible, shows, until};

const HOUR: Duration = Duration::from_secs(60 * 60);

pub(super) fn tests() -> Vec<Test> {
    tests![
        clients_of_a_relay_appear_and_disappear,
        the_page_of_a_relay_fits_every_width_and_is_legible_in_both_schemes,
        a_limit_that_is_reached_and_a_drain_are_shown_and_read_out,
        the_page_of_a_relay_that_is_started_again_comes_back,
        no_other_script_runs_on_the_page_of_a_relay,
    ]
}

/// A relay, and a browser with its page.
struct Watched {
    relay: TestRelay,
    page: Browser,
}

impl Watched {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let relay = TestRelay::with_page(change);
        let page = Browser::start().await;
        page.open(&relay.page("/")).await;
        until(&page, "connection.dataset.state === 'live'").await;
        Self { relay, page }
    }

    /// A parent that registers this many runners, and opens no socket for them.
    async fn idle_parent(&self, runners: u8) -> RelaySocket {
        let mut parent = dial_relay(&self.relay.url(), PARENT_PATH, KEY).await.unwrap();
        let runners = (0..runners).map(|n| RunnerRef::from_bytes([n; 16])).collect();
        let register = ParentToRelay::Register { runners, expires_in_ms: 3_600_000 };
        parent.send(register.encode().unwrap()).await.unwrap();
        until(&self.page, &shows("#parents tbody tr", "127.0.0.1")).await;
        parent
    }

    /// The first runner of an [`idle_parent`](Self::idle_parent) begins to wait.
    fn waiting_runner(&self) -> tokio::task::JoinHandle<()> {
        let runner = RunnerRef::from_bytes([0; 16]);
        let address = format!("{}{RUNNER_PATH}{runner}", self.relay.url());
        tokio::spawn(async move {
            let _ = dial(&address, Fingerprint([0; 32])).await;
        })
    }
}

fn no_change(_: &mut Config) {}

async fn clients_of_a_relay_appear_and_disappear() {
    let Watched { relay, page } = Watched::start(no_change).await;
    for empty in ["No parent is connected.", "No runner waits.", "No pair is open."] {
        until(&page, &shows(".empty", empty)).await;
    }
    let pool = process_pool("test").max(1).relay(relay.option()).start().await.unwrap();
    until(&page, &shows("#parents tbody tr", "key 1")).await;
    pool.call(demo::tally(1, demo::bytes(2_000_000))).await.unwrap();
    let runner = pool.snapshot().runners[0].runner.to_string();
    until(&page, &shows("#pairs tbody td:first-child", &format!("{}…", &runner[..10]))).await;
    until(&page, &shows("#pairs tbody td:nth-child(5)", "MB")).await;
    until(&page, &shows("#registered", "1")).await;
    until(&page, &shows("#pair-count", "1")).await;
    assert_eq!(page.run("return document.title").await, "Relay");
    let text = page.run("return document.documentElement.outerHTML").await.to_string();
    assert!(!text.contains(&runner[2..]), "the page shows a whole ref");
    let _ = dial_relay(&relay.url(), PARENT_PATH, "not-a-key-of-this-relay-0123456789").await;
    until(&page, &shows("#refusals tbody tr", "unauthorized")).await;
    pool.drain().await;
    until(&page, &shows(".empty", "No pair is open.")).await;
    until(&page, &shows("#pairs_ended tbody td:last-child", "1")).await;
    drop(pool);
    until(&page, &shows(".empty", "No parent is connected.")).await;
    assert_eq!(page.errors().await, [""; 0]);
}

async fn the_page_of_a_relay_fits_every_width_and_is_legible_in_both_schemes() {
    let watched = Watched::start(|config| {
        config.limits.pair_timeout = HOUR;
        config.pair.ping_interval = HOUR;
        config.limits.runners_per_parent = 3;
    })
    .await;
    let (relay, page) = (&watched.relay, &watched.page);
    let _parent = watched.idle_parent(3).await;
    let waiting = watched.waiting_runner();
    until(page, &shows("#waiting tbody tr", "f-00000000…")).await;
    let pool = process_pool("test").min(3).max(3).relay(relay.option()).start().await.unwrap();
    pool.ready().await;
    pool.call(demo::tally(1, demo::bytes(2_000_000))).await.unwrap();
    let _ = dial_relay(&relay.url(), PARENT_PATH, "not-a-key-of-this-relay-0123456789").await;
    until(page, &shows("#refusals tbody tr", "unauthorized")).await;
    until(page, "document.querySelectorAll('#pairs tbody tr').length === 3").await;
    fits_every_width_and_is_legible(page, "relay").await;
    waiting.abort();
    pool.drain().await;
}

async fn a_limit_that_is_reached_and_a_drain_are_shown_and_read_out() {
    let watched = Watched::start(|config| config.limits.runners_per_parent = 2).await;
    let page = &watched.page;
    let heard = "return news.textContent";
    let _first = watched.idle_parent(1).await;
    until(page, &shows("#registered", "1")).await;
    assert_eq!(page.run(heard).await, "", "a client is no news");
    assert_eq!(page.run("return document.querySelectorAll('.full').length").await, 0);
    let _second = watched.idle_parent(2).await;
    until(page, &shows(".full", "Runners of one parent")).await;
    assert_eq!(page.run(heard).await, "A limit is reached: Runners of one parent.");
    watched.relay.drain();
    until(page, &shows("#stage", "draining")).await;
    assert_eq!(page.run(heard).await, "The relay is draining.");
    assert_eq!(page.errors().await, [""; 0]);
}

async fn the_page_of_a_relay_that_is_started_again_comes_back() {
    let Watched { relay, page } = Watched::start(no_change).await;
    let (listen, address) = (relay.address(), relay.page(""));
    let before = page.run("return view.node").await;
    drop(relay);
    until(&page, &shows("#connection", "The connection is lost")).await;
    assert!(page.run(&format!("return {}", shows("#name", "Node "))).await == true);
    let _again = TestRelay::start_at(listen, |config| {
        config.metrics_listen = address.strip_prefix("http://").map(|it| it.parse().unwrap());
    });
    until(&page, &shows("#connection", "Live")).await;
    assert_ne!(page.run("return view.node").await, before, "it is another process");
}

async fn no_other_script_runs_on_the_page_of_a_relay() {
    let Watched { page, .. } = Watched::start(no_change).await;
    let blocked = "const it = document.createElement('div'); \
                   it.innerHTML = \"<img src=data:, onerror='document.title=1'>\"; \
                   document.body.append(it); \
                   return new Promise((done) => setTimeout(() => done(document.title), 200))";
    assert_eq!(page.run(blocked).await, json!("Relay"));
}
