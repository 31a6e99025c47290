//! The storm around a relay: the `flame-relay` program, a parent and its runners, with a proxy
//! between each pair.
//!
//! ```text
//! parent ──▶ proxy ──▶ flame-relay ◀── proxy ◀── 20 runners
//! ```
//!
//! The networks, the relay's process and the runners' processes fail in turn.

use std::sync::Arc;
use std::time::Duration;

use flame_aws::Relay;
use flame_tests::process;
use flame_tests::proxy::{Network, Proxy, free_address};
use flame_tests::relay::KEY;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use tokio::time::{Instant, sleep};

use crate::callers::{Callers, ExpectedErrors};
use crate::context::StormContext;
use crate::cuts::network;
use crate::kills::Signals;
use crate::options::Extent;
use crate::relay_process::StormRelay;
use crate::report::Section;

const RUNNERS: u32 = 20;
const SLOTS: u32 = 4;
/// More callers than slots, so that some calls are queued.
const CALLERS: usize = 96;

pub(crate) async fn run(context: &Arc<StormContext>, Extent { calls, .. }: Extent) {
    let mut random = context.random("relay");
    let mut site = Site::start(context, &mut random).await;
    let relay = Relay::new(site.to_parents.address()).key(KEY);
    let pool = context.pool().relay(relay).min(RUNNERS / 4).max(RUNNERS).max_concurrency(SLOTS);
    // Longer than a parent pauses before it connects to its relay again.
    let pool =
        pool.keepalive_timeout(Duration::from_secs(2)).reconnect_timeout(Duration::from_secs(20));
    let pool = pool.shutdown_timeout(Duration::from_secs(2));
    let pool = pool.boot_backoff(Duration::from_millis(10), Duration::from_millis(100));
    // Calls wait for a boot that succeeds. With an open breaker, most of them would fail at once.
    let pool = pool.boot_breaker(u32::MAX, Duration::from_millis(100)).start().await;
    let pool = pool.expect("the pool starts");

    let started = Instant::now();
    let callers = Callers::start_with(context, &pool, ExpectedErrors::RunnerLoss, CALLERS, calls);
    let mut signals = Signals::default();
    while !callers.have_finished() {
        site.disturb(&mut signals, &mut random).await;
    }
    let seconds = started.elapsed().as_secs();
    context.ledger.count(Section::Calls, "seconds of calls", seconds);
    site.recover();
    signals.all_continue().await;
    callers.stop().await;
    crate::end(context, pool.clone()).await;
    // The parent is still connected, so it has unregistered its runners.
    site.relay.expect_zero("flame_relay_registered_runners", "relay registrations").await;
    drop(pool);
    site.relay.end().await;
}

/// The relay, and the networks around it.
struct Site {
    context: Arc<StormContext>,
    relay: StormRelay,
    /// Between the relay and the parent.
    to_parents: Proxy,
    /// Between the relay and the runners.
    to_runners: Proxy,
}

impl Site {
    async fn start(context: &Arc<StormContext>, random: &mut StdRng) -> Self {
        loop {
            let listen = free_address();
            let to_parents = Proxy::for_parents(listen, random.next_u64()).await;
            let to_runners = Proxy::for_runners(listen, random.next_u64()).await;
            let flags = ["--address", &to_runners.address(), "--drain-time", "1s"];
            if let Some(relay) = StormRelay::start(context, listen, &flags).await {
                return Self { context: context.clone(), relay, to_parents, to_runners };
            }
        }
    }

    /// Lets one thing go wrong, or one network recover.
    async fn disturb(&mut self, signals: &mut Signals, random: &mut StdRng) {
        let mut millis = |range| Duration::from_millis(random.random_range(range));
        let (down, stopped, pause) = (millis(0..800), millis(50..1500), millis(20..400));
        match random.random_range(0..200) {
            0..2 => self.relay.is_killed(down).await,
            2..4 => self.relay.drains().await,
            4..8 => self.relay.is_stopped(stopped).await,
            8..28 => self.change("parent and relay: ", &self.to_parents, random),
            28..165 => self.change("runners and relay: ", &self.to_runners, random),
            _ => {
                let mut runners = process::children(std::process::id());
                runners.retain(|process| *process != self.relay.pid());
                signals.send_to_one_of(&runners, &self.context, random);
            }
        }
        sleep(pause).await;
    }

    fn change(&self, pair: &str, proxy: &Proxy, random: &mut StdRng) {
        let (network, name) = network(random);
        self.context.ledger.count(Section::Disruptions, &format!("{pair}{name}"), 1);
        proxy.set(network);
    }

    fn recover(&self) {
        self.to_parents.set(Network::Normal);
        self.to_runners.set(Network::Normal);
    }
}
