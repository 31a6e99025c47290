//! Decides when a parent connects to its relays, what it tells them, and where its runners connect.
//! Pure: `now` and randomness are arguments.
//!
//! ```text
//! Waiting ── attempt_at ──▶ Connecting ── Welcome ──▶ Connected ── lost, draining ──▶ Waiting
//!    ▲                          │                         │
//!    └──────── failed ──────────┘                         ├ registers all runners, and renews them
//!                                                         └ the first one is home
//! ```
//!
//! Invariants: each connected relay learns of every runner that is registered, and of every one
//! that is not any more. A relay that is connected for the first time, or again, learns of all
//! runners. The home relay is a connected one, if there is any, and stays the same while it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use flame_wire::backoff::Backoff;
use flame_wire::ids::RunnerRef;
use flame_wire::relay::{MAX_BATCH, ParentToRelay, RUNNER_PATH};
use flame_wire::time::millis;

use super::MAX_RELAYS;

/// How long a relay keeps a registration that is not renewed.
const EXPIRY: Duration = Duration::from_secs(90);
/// How often registrations are renewed.
const RENEWAL: Duration = Duration::from_secs(30);
/// The pauses between attempts to connect.
const PAUSES: Backoff =
    Backoff::new(Duration::from_millis(200), Duration::from_secs(10)).with_jitter(0.5);

/// Identifies a relay of this client: its position in the list of URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RelayIndex(pub(super) usize);

/// The relays of a parent, and the runners that may connect through them.
#[derive(Debug)]
pub(super) struct RelayClientState {
    relays: Vec<RelayEntry>,
    home: Option<RelayIndex>,
    runners: BTreeSet<RunnerRef>,
}

#[derive(Debug)]
struct RelayEntry {
    url: String,
    connection: ConnectionState,
    /// Failures in a row.
    failures: u32,
    /// The address of the node that has sent the last Welcome.
    node_address: Option<String>,
    /// This parent reached the node at the relay's URL, but not at the node's own address.
    is_reached_by_url: bool,
    /// Runners that the relay has yet to learn of.
    to_register: BTreeSet<RunnerRef>,
    /// Runners that the relay has yet to forget.
    to_unregister: BTreeSet<RunnerRef>,
    /// Runners that the relay did not register, and its limit.
    rejected: BTreeMap<RunnerRef, u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionState {
    Waiting { attempt_at: Instant },
    Connecting,
    Connected { renew_at: Instant },
}

impl RelayClientState {
    /// The first attempts to connect are due at once.
    pub(super) fn new(now: Instant, urls: &[String]) -> Self {
        let relays = urls.iter().map(|url| RelayEntry {
            url: url.clone(),
            connection: ConnectionState::Waiting { attempt_at: now },
            failures: 0,
            node_address: None,
            is_reached_by_url: false,
            to_register: BTreeSet::new(),
            to_unregister: BTreeSet::new(),
            rejected: BTreeMap::new(),
        });
        Self { relays: relays.collect(), home: None, runners: BTreeSet::new() }
    }

    /// A runner may connect from now on.
    pub(super) fn register(&mut self, runner: RunnerRef) {
        self.runners.insert(runner);
        for relay in self.relays.iter_mut().filter(|relay| relay.is_connected()) {
            relay.to_unregister.remove(&runner);
            relay.to_register.insert(runner);
        }
    }

    /// A runner will not connect again.
    pub(super) fn unregister(&mut self, runner: RunnerRef) {
        self.runners.remove(&runner);
        for relay in &mut self.relays {
            relay.rejected.remove(&runner);
            relay.to_register.remove(&runner);
            if relay.is_connected() {
                relay.to_unregister.insert(runner);
            }
        }
    }

    /// When to connect to a relay next. `None`: it is connecting or connected.
    pub(super) fn attempt_at(&self, relay: RelayIndex) -> Option<Instant> {
        match self.relays.get(relay.0)?.connection {
            ConnectionState::Waiting { attempt_at } => Some(attempt_at),
            ConnectionState::Connecting | ConnectionState::Connected { .. } => None,
        }
    }

    /// An attempt to connect begins.
    pub(super) fn connecting(&mut self, relay: RelayIndex) {
        if let Some(relay) = self.relays.get_mut(relay.0) {
            relay.connection = ConnectionState::Connecting;
        }
    }

    /// A relay has sent its Welcome, with the address of its node if it has one of its own.
    pub(super) fn connected(&mut self, now: Instant, index: RelayIndex, address: Option<String>) {
        let runners = self.runners.clone();
        if let Some(relay) = self.relays.get_mut(index.0) {
            relay.connection = ConnectionState::Connected { renew_at: now + RENEWAL };
            relay.is_reached_by_url &= relay.node_address == address;
            relay.node_address = address;
            relay.to_register = runners;
        }
        self.home.get_or_insert(index);
    }

    /// An attempt to connect has failed, or a connection is lost. `random` is in 0..1.
    pub(super) fn disconnected(&mut self, now: Instant, index: RelayIndex, random: f64) {
        if let Some(relay) = self.relays.get_mut(index.0) {
            relay.failures = relay.failures.saturating_add(1);
            let attempt_at = now + PAUSES.pause(relay.failures, random);
            relay.connection = ConnectionState::Waiting { attempt_at };
            relay.to_register.clear();
            relay.to_unregister.clear();
            relay.rejected.clear();
        }
        if self.home == Some(index) {
            let mut others = (0..self.relays.len()).map(RelayIndex);
            self.home = others.find(|other| self.is_connected(*other));
        }
    }

    /// A relay is about to exit. Its driver closes the connection, and connects again; behind a
    /// load balancer it will find another node.
    pub(super) fn draining(&mut self, now: Instant, index: RelayIndex, random: f64) {
        if let Some(relay) = self.relays.get_mut(index.0) {
            relay.node_address = None;
        }
        self.disconnected(now, index, random);
    }

    /// A relay did not register runners, because it has reached its limit. They are registered
    /// again with the next renewal, when others may be gone.
    pub(super) fn rejected(&mut self, relay: RelayIndex, runners: &[RunnerRef], max: u32) {
        let Some(relay) = self.relays.get_mut(relay.0) else { return };
        for runner in runners.iter().filter(|runner| self.runners.contains(runner)) {
            relay.rejected.insert(*runner, max);
        }
    }

    /// The limit because of which no relay has registered the runner.
    pub(super) fn rejection(&self, runner: RunnerRef) -> Option<u32> {
        let mut limit = None;
        for relay in self.relays.iter().filter(|relay| relay.is_connected()) {
            limit = Some(*relay.rejected.get(&runner)?);
        }
        limit
    }

    /// The next message to a relay that is connected.
    pub(super) fn poll_send(&mut self, now: Instant, relay: RelayIndex) -> Option<ParentToRelay> {
        let runners = &self.runners;
        let relay = self.relays.get_mut(relay.0)?;
        let ConnectionState::Connected { renew_at } = &mut relay.connection else { return None };
        if now >= *renew_at {
            *renew_at = now + RENEWAL;
            // The relay has been useful for a while, so a failure now is the first one.
            relay.failures = 0;
            relay.rejected.clear();
            relay.to_register.clone_from(runners);
        }
        let unregistered = take_batch(&mut relay.to_unregister);
        if !unregistered.is_empty() {
            return Some(ParentToRelay::Unregister { runners: unregistered });
        }
        let registered = take_batch(&mut relay.to_register);
        let expires_in_ms = millis(EXPIRY);
        (!registered.is_empty())
            .then_some(ParentToRelay::Register { runners: registered, expires_in_ms })
    }

    /// When [`poll_send`](Self::poll_send) has a message, unless it has one before.
    pub(super) fn renew_at(&self, relay: RelayIndex) -> Option<Instant> {
        match self.relays.get(relay.0)?.connection {
            ConnectionState::Connected { renew_at } => Some(renew_at),
            ConnectionState::Waiting { .. } | ConnectionState::Connecting => None,
        }
    }

    /// The addresses at which this parent may reach the node that a runner waits at, the likeliest
    /// first. Empty if this parent does not expect the runner.
    ///
    /// The node's own address may be one that only runners can reach, as in a private network. The
    /// URL may lead to another node, as behind a load balancer.
    pub(super) fn node_addresses(&self, relay: RelayIndex, runner: RunnerRef) -> Vec<String> {
        let is_expected = self.runners.contains(&runner);
        let Some(relay) = self.relays.get(relay.0).filter(|_| is_expected) else { return vec![] };
        let mut addresses = vec![relay.address().to_owned(), relay.url.clone()];
        if relay.is_reached_by_url {
            addresses.reverse();
        }
        addresses.dedup();
        addresses
    }

    /// This parent has reached a relay's node at this address.
    pub(super) fn reached_at(&mut self, relay: RelayIndex, address: &str) {
        if let Some(relay) = self.relays.get_mut(relay.0) {
            relay.is_reached_by_url = relay.address() != address;
        }
    }

    pub(super) fn is_connected(&self, relay: RelayIndex) -> bool {
        self.relays.get(relay.0).is_some_and(RelayEntry::is_connected)
    }

    /// The addresses for runners, without the path: the home relay's node first, then the other
    /// relays, then the URLs that may lead to other nodes.
    pub(super) fn base_addresses(&self) -> Vec<String> {
        let mut relays: Vec<_> = self.relays.iter().enumerate().collect();
        relays.sort_by_key(|(index, relay)| {
            (self.home != Some(RelayIndex(*index)), !relay.is_connected())
        });
        let nodes = relays.iter().map(|(_, relay)| relay.address());
        let urls = relays.iter().map(|(_, relay)| relay.url.as_str());
        let mut addresses: Vec<String> = Vec::new();
        for address in nodes.chain(urls) {
            if addresses.len() < MAX_RELAYS && addresses.iter().all(|known| known != address) {
                addresses.push(address.to_owned());
            }
        }
        addresses
    }
}

impl RelayEntry {
    fn is_connected(&self) -> bool {
        matches!(self.connection, ConnectionState::Connected { .. })
    }

    fn address(&self) -> &str {
        self.node_address.as_deref().unwrap_or(&self.url)
    }
}

/// The address at which a runner finds a relay.
pub(super) fn address_for(base: &str, runner: RunnerRef) -> String {
    format!("{}{RUNNER_PATH}{runner}", base.trim_end_matches('/'))
}

fn take_batch(runners: &mut BTreeSet<RunnerRef>) -> Vec<RunnerRef> {
    let batch: Vec<_> = runners.iter().take(MAX_BATCH).copied().collect();
    for runner in &batch {
        runners.remove(runner);
    }
    batch
}

#[cfg(test)]
mod tests;
