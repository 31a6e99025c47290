//! The invariants, checked against a model that keeps plain sets and never looks inside.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    connections: 12,
    connections_per_address: 8,
    connections_per_key: 9,
    runners_per_parent: 3,
    pair_timeout: Duration::from_secs(10),
};

/// One event. Numbers select among what exists.
#[derive(Clone, Debug)]
enum Step {
    Parent { key: u32, address: u8 },
    Register { parent: usize, runners: Vec<u8>, secs: u64 },
    Unregister { parent: usize, runners: Vec<u8> },
    Runner { runner: u8, address: u8 },
    Socket { ticket: usize, key: u32, address: u8 },
    Disconnect { connection: usize },
    Pass { secs: u64 },
    Revoke { key: u32 },
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let runners = || prop::collection::vec(0..6u8, 1..4);
    let (key, address) = (1..3u32, 1..4u8);
    prop_oneof![
        3 => (key.clone(), address.clone()).prop_map(|(key, address)| Step::Parent { key, address }),
        4 => (0..8usize, runners(), 1..40u64)
            .prop_map(|(parent, runners, secs)| Step::Register { parent, runners, secs }),
        1 => (0..8usize, runners()).prop_map(|(parent, runners)| Step::Unregister { parent, runners }),
        8 => (0..6u8, address.clone()).prop_map(|(runner, address)| Step::Runner { runner, address }),
        6 => (0..8usize, key.clone(), address)
            .prop_map(|(ticket, key, address)| Step::Socket { ticket, key, address }),
        4 => (0..20usize).prop_map(|connection| Step::Disconnect { connection }),
        3 => (1..15u64).prop_map(|secs| Step::Pass { secs }),
        1 => key.prop_map(|key| Step::Revoke { key }),
        1 => Just(Step::Drain),
    ]
}

/// The relay, and everything that its driver knows about it.
struct Model {
    state: RelayState,
    now: Instant,
    tickets: u8,
    /// The connections whose end was not reported, with what limits count.
    open: BTreeMap<ConnectionId, (KeyId, u8)>,
    parents: BTreeSet<ConnectionId>,
    /// The runners that wait: their tickets, keys, and since when.
    waiting: BTreeMap<ConnectionId, (Ticket, KeyId, Instant)>,
    /// Every ticket that a parent was told of.
    told: Vec<Ticket>,
    /// The control connection of each registered runner, and when the registration ends.
    owners: BTreeMap<u8, (ConnectionId, Instant)>,
    draining: bool,
}

fn runner(n: u8) -> RunnerRef {
    RunnerRef::from_bytes([n; 16])
}

fn ip(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, n).into()
}

impl Model {
    #[expect(clippy::disallowed_methods, reason = "an arbitrary time to start from")]
    fn new() -> Self {
        Self {
            state: RelayState::new(LIMITS),
            now: Instant::now(),
            tickets: 0,
            open: BTreeMap::new(),
            parents: BTreeSet::new(),
            waiting: BTreeMap::new(),
            told: Vec::new(),
            owners: BTreeMap::new(),
            draining: false,
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Parent { key, address } => {
                let key = KeyId(key);
                let room = self.has_room(key, address);
                match self.state.parent_connected(self.now, key, ip(address)) {
                    Ok(id) => {
                        assert!(room && !self.draining);
                        self.parents.insert(id);
                        assert!(self.open.insert(id, (key, address)).is_none(), "an id came twice");
                    }
                    Err(refusal) => self.check_refusal(&refusal, room),
                }
            }
            Step::Register { parent, runners, secs } => self.register(parent, &runners, secs),
            Step::Unregister { parent, runners } => {
                let Some(parent) = pick(&self.parents, parent) else { return };
                let refs: Vec<_> = runners.iter().map(|&n| runner(n)).collect();
                self.state.unregister(parent, &refs);
                self.owners.retain(|n, (owner, _)| *owner != parent || !runners.contains(n));
            }
            Step::Runner { runner: n, address } => self.runner(n, address),
            Step::Socket { ticket, key, address } => self.socket(ticket, KeyId(key), address),
            Step::Disconnect { connection } => {
                let ids: BTreeSet<_> = self.open.keys().copied().collect();
                if let Some(id) = pick(&ids, connection) {
                    self.disconnect(id);
                }
            }
            Step::Pass { secs } => {
                self.now += Duration::from_secs(secs);
                self.state.handle_timeout(self.now);
                self.owners.retain(|_, (_, expires)| *expires > self.now);
            }
            Step::Revoke { key } => self.state.key_revoked(KeyId(key)),
            Step::Drain => {
                self.draining = true;
                self.state.drain(Duration::from_secs(1));
            }
        }
    }

    fn register(&mut self, parent: usize, runners: &[u8], secs: u64) {
        let Some(parent) = pick(&self.parents, parent) else { return };
        let key = self.open[&parent].0;
        let expires = self.now + Duration::from_secs(secs);
        let mut rejected = Vec::new();
        for &n in runners {
            let owned = self.owners.values().filter(|(owner, _)| *owner == parent).count();
            let owner = self.owners.get(&n).map(|(owner, _)| *owner);
            let is_full = owner != Some(parent) && owned >= 3;
            let is_foreign = owner.is_some_and(|owner| self.open[&owner].0 != key);
            if is_full || is_foreign {
                rejected.push(runner(n));
            } else {
                self.owners.insert(n, (parent, expires));
            }
        }
        let refs = runners.iter().map(|&n| runner(n)).collect();
        self.state.register(self.now, parent, refs, Duration::from_secs(secs));
        let mut reported = Vec::new();
        for action in std::iter::from_fn(|| self.state.poll_action()).collect::<Vec<_>>() {
            if let Action::Send(to, RelayToParent::Rejected { runners, .. }) = &action {
                assert_eq!(*to, parent);
                reported.extend(runners.clone());
            }
            self.observe(action);
        }
        assert_eq!(reported, rejected, "the relay rejects the wrong runners");
    }

    fn runner(&mut self, n: u8, address: u8) {
        self.tickets += 1;
        let ticket = Ticket::from_bytes([self.tickets; 16]);
        let owner = self.owners.get(&n).copied();
        match self.state.runner_arrived(self.now, runner(n), ip(address), ticket) {
            Ok(id) => {
                let (owner, _) = owner.expect("only a registered runner waits");
                let key = self.open[&owner].0;
                assert!(!self.draining && self.has_room(key, address));
                self.waiting.insert(id, (ticket, key, self.now));
                self.open.insert(id, (key, address));
            }
            Err(Refusal::TooMany { limit: Limit::WaitingPerRunner, .. }) => {
                assert!(owner.is_some())
            }
            Err(Refusal::UnknownRunner) => assert!(owner.is_none()),
            Err(refusal) => {
                let key = owner.map(|(owner, _)| self.open[&owner].0);
                let room = key.is_none_or(|key| self.has_room(key, address));
                self.check_refusal(&refusal, room);
            }
        }
    }

    fn socket(&mut self, ticket: usize, key: KeyId, address: u8) {
        let Some(&ticket) = self.told.get(ticket % self.told.len().max(1)) else { return };
        let waiting = self.waiting.iter().find(|(_, (other, ..))| *other == ticket);
        let waiting = waiting.map(|(&id, &(_, key, _))| (id, key));
        let room = self.has_room(key, address);
        match self.state.socket_arrived(self.now, ticket, key, ip(address)) {
            Ok(pairing) => {
                assert_eq!(waiting, Some((pairing.runner_connection, key)));
                assert!(room && !self.draining);
                self.waiting.remove(&pairing.runner_connection);
                self.open.insert(pairing.socket_connection, (key, address));
            }
            Err(Refusal::UnknownTicket) => assert!(waiting.is_none_or(|(_, other)| other != key)),
            Err(refusal) => self.check_refusal(&refusal, room),
        }
    }

    fn disconnect(&mut self, id: ConnectionId) {
        self.state.disconnected(id);
        self.forget(id);
    }

    fn forget(&mut self, id: ConnectionId) {
        self.open.remove(&id);
        self.parents.remove(&id);
        self.waiting.remove(&id);
        self.owners.retain(|_, (owner, _)| *owner != id);
    }

    fn check_refusal(&self, refusal: &Refusal, room: bool) {
        match refusal {
            Refusal::Draining => assert!(self.draining),
            Refusal::TooMany { .. } => assert!(!room, "there was room: {refusal}"),
            _ => panic!("unexpected {refusal:?}"),
        }
    }

    fn has_room(&self, key: KeyId, address: u8) -> bool {
        let count = |f: &dyn Fn(&(KeyId, u8)) -> bool| self.open.values().filter(|c| f(c)).count();
        self.open.len() < LIMITS.connections
            && count(&|(_, other)| *other == address) < LIMITS.connections_per_address
            && count(&|(other, _)| *other == key) < LIMITS.connections_per_key
    }

    fn observe(&mut self, action: Action) {
        match action {
            Action::Send(to, message) => {
                assert!(self.parents.contains(&to), "a message to {to:?}, which is not connected");
                if let RelayToParent::RunnerWaiting { ticket, .. } = message {
                    self.told.push(ticket);
                }
            }
            Action::Refuse(id, _) => {
                assert!(self.waiting.contains_key(&id), "{id:?} does not wait, or was answered");
                self.forget(id);
            }
            Action::Disconnect(id) => {
                assert!(self.parents.contains(&id));
                self.forget(id);
            }
        }
    }

    fn check(&mut self) {
        for action in std::iter::from_fn(|| self.state.poll_action()).collect::<Vec<_>>() {
            self.observe(action);
        }
        let kinds = [ConnectionKind::Parent, ConnectionKind::Runner, ConnectionKind::Socket];
        let count: usize = kinds.iter().map(|&kind| self.state.count(kind)).sum();
        assert_eq!(count, self.open.len());
        assert_eq!(self.state.count(ConnectionKind::Parent), self.parents.len());
        assert_eq!(self.state.registered(), self.owners.len());
        for (_, _, since) in self.waiting.values() {
            assert!(self.now < *since + LIMITS.pair_timeout, "a runner waits for too long");
            assert!(!self.draining);
        }
        assert!(self.state.poll_timeout().is_none_or(|next| next > self.now));
        self.check_snapshot();
    }

    /// A snapshot contains what the model knows, and no more rows than it may have.
    fn check_snapshot(&self) {
        const MAX_ROWS: usize = 2;
        let snapshot = self.state.snapshot(MAX_ROWS);
        assert_eq!(snapshot.parents.total, self.parents.len());
        assert_eq!(snapshot.parents.rows.len(), self.parents.len().min(MAX_ROWS));
        assert_eq!(snapshot.waiting.total, self.waiting.len());
        assert_eq!(snapshot.waiting.rows.len(), self.waiting.len().min(MAX_ROWS));
        assert_eq!(snapshot.connections, self.open.len());
        for row in &snapshot.parents.rows {
            let owned = self.owners.values().filter(|(owner, _)| *owner == row.id).count();
            assert_eq!((row.registered, row.key), (owned, self.open[&row.id].0));
        }
        for row in &snapshot.waiting.rows {
            assert!(self.waiting.contains_key(&row.id) && row.parent.is_some());
        }
        let most = |counts: &mut dyn Iterator<Item = u64>| {
            let mut totals = BTreeMap::new();
            counts.for_each(|one| *totals.entry(one).or_insert(0) += 1);
            totals.into_values().max()
        };
        let by_address = most(&mut self.open.values().map(|(_, address)| u64::from(*address)));
        assert_eq!(snapshot.most_per_address.map(|(_, count)| count), by_address);
        let by_key = most(&mut self.open.values().map(|(key, _)| u64::from(key.0)));
        assert_eq!(snapshot.most_per_key.map(|(_, count)| count), by_key);
        let by_parent = most(&mut self.owners.values().map(|(owner, _)| owner.0));
        assert_eq!(snapshot.most_per_parent.map(|(_, count)| count), by_parent);
    }
}

fn pick(from: &BTreeSet<ConnectionId>, at: usize) -> Option<ConnectionId> {
    from.iter().nth(at % from.len().max(1)).copied()
}

proptest! {
    #[test]
    fn the_invariants_hold(steps in prop::collection::vec(step(), 0..120)) {
        let mut model = Model::new();
        for step in steps {
            model.apply(step);
            model.check();
        }
        for id in model.open.keys().copied().collect::<Vec<_>>() {
            model.disconnect(id);
            model.check();
        }
        assert!(model.state.connections.is_empty(), "a count does not return to zero");
        assert!(model.waiting.is_empty() && model.state.registered() == 0);
        assert_eq!(model.state.poll_timeout(), None);
    }
}
