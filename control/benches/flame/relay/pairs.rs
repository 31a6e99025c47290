//! The memory of idle pairs in the relay, and how many pairs the relay makes per second.

use std::time::Duration;

use super::RelayProcess;
use super::clients::RawParent;
use crate::figures::Figures;
use crate::process::ChildProcess;
use crate::sample::{Effort, median};

/// How many idle pairs are held. There are fewer if the relay may not open as many files.
const IDLE: u32 = 10_000;
/// The files of the relay that are not sockets of a pair.
const OTHER_FILES: u64 = 64;
/// How long the pairs are held.
const HELD_FOR: Duration = Duration::from_secs(60);
/// With the relay's default settings, a socket that was silent for 20 s is pinged. So each socket
/// is pinged at least so often while it is held.
const PINGS: f64 = 2.0;

/// How many runners connect at a time, again and again.
const CLIENTS: u32 = 64;
const ROUNDS: usize = 5;
const SPAN_MS: u32 = 1_000;

pub(crate) async fn measure(effort: Effort) -> Figures {
    let mut figures = Figures::default();
    pairs_per_s(effort, &mut figures).await;
    idle_pairs(effort, &mut figures).await;
    figures
}

async fn pairs_per_s(effort: Effort, figures: &mut Figures) {
    let relay = RelayProcess::start().await;
    let _parent = RawParent::start(relay.address, CLIENTS).await;
    let mut runners = ChildProcess::start(&["runners", &relay.address.to_string()]);
    let mut rates = Vec::new();
    for round in 0..=effort.rounds(ROUNDS) {
        let rate = runners.ask(&format!("pairs {CLIENTS} {SPAN_MS}")).await;
        if round > 0 {
            rates.push(rate.parse().expect("a rate"));
        }
    }
    figures.set("relay_pairs_per_s", median(&rates));
}

async fn idle_pairs(effort: Effort, figures: &mut Figures) {
    flame_relay::open_files::raise_limit();
    let relay = RelayProcess::start().await;
    let possible = u32::try_from(relay.max_files.saturating_sub(OTHER_FILES) / 2);
    let count = IDLE.min(possible.unwrap_or(u32::MAX));
    let count = if effort == Effort::Quick { count / 10 } else { count };

    let _parent = RawParent::start(relay.address, count).await;
    let mut runners = ChildProcess::start(&["runners", &relay.address.to_string()]);
    let before = relay.resident_bytes();
    runners.ask(&format!("hold {count}")).await;
    let (alive, _) = check(&mut runners).await;
    assert_eq!(alive, f64::from(count), "not every pair forwards messages");
    if effort == Effort::Full {
        tokio::time::sleep(HELD_FOR).await;
    }
    let after = relay.resident_bytes();
    let (alive, fewest_pings) = check(&mut runners).await;

    figures.set("relay_idle_pairs", f64::from(count));
    figures.set("relay_idle_pairs_lost", f64::from(count) - alive);
    if effort == Effort::Full {
        figures.set("relay_pings_missed_at_most", (PINGS - fewest_pings).max(0.0));
    }
    if let (Some(before), Some(after)) = (before, after) {
        let bytes = u32::try_from(after.saturating_sub(before)).expect("less than 4 GiB");
        figures.set("relay_bytes_per_pair", f64::from(bytes) / f64::from(count));
    }
}

/// How many pairs forward messages, and how often each socket was pinged at least.
async fn check(runners: &mut ChildProcess) -> (f64, f64) {
    let reply = runners.ask("check").await;
    let (alive, pings) = reply.split_once(' ').expect("two numbers");
    (alive.parse().expect("a number"), pings.parse().expect("a number"))
}
