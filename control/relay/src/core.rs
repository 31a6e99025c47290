//! Decides which runner is paired with which socket. Pure: no clock, no task, no socket; `now` is
//! an argument.
//!
//! ```text
//!   parent_connected ──▶ a control connection ── register ──▶ its runners, each with an expiry
//!   runner_arrived ────▶ RunnerWaiting to the parent; the runner waits, named by a ticket
//!   socket_arrived ────▶ Pairing: this runner and this socket belong together
//!   (time passes) ─────▶ Refuse the runner, or forget a registration
//! ```
//!
//! The driver reports each event by a method, carries out the [`Action`]s that it polls, and calls
//! [`handle_timeout`](RelayState::handle_timeout) when [`poll_timeout`](RelayState::poll_timeout)
//! is due. It reports the end of each connection once or more often: the second report does
//! nothing.
//!
//! # Invariants
//!
//! * A waiting runner is answered exactly once, by a [`Pairing`] or by [`Action::Refuse`], unless
//!   it disconnects first. A ticket pairs at most once, and only with a socket that has the key of
//!   the runner's parent.
//! * A registration belongs to one control connection, and ends with it.
//! * A connection counts from the moment it is admitted until its end is reported. The counts
//!   return to zero.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use flame_wire::ids::RunnerRef;
use flame_wire::relay::{RelayToParent, Ticket};
use flame_wire::time::millis;

mod connections;
mod counts;
mod refusal;
mod registrations;
mod snapshot;
mod waiting;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use connections::Connections;
pub use connections::{ConnectionId, ConnectionKind};
pub use refusal::{Limit, Refusal};
use registrations::Registrations;
pub use snapshot::{ParentRow, Rows, Snapshot, WaitingRow};
use waiting::{WaitingRunner, WaitingRunners};

use crate::keys::KeyId;

/// How many sockets of one runner may wait for its parent at a time. A runner opens one at a time,
/// but the relay may notice late that an earlier one is gone.
const MAX_WAITING_PER_RUNNER: usize = 4;

/// The longest time until a registration or a wait ends, as on the wire. A longer one could
/// overflow a point in time.
const MAX_TIME: Duration = Duration::from_millis(flame_wire::time::MAX_MS);

/// How much a relay admits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections in all: control connections, runners, and parents' sockets.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Connections of one key, including those of the runners whose parents use it.
    pub connections_per_key: usize,
    /// Runners that one control connection may register.
    pub runners_per_parent: u32,
    /// How long a runner waits for its parent's socket.
    pub pair_timeout: Duration,
}

/// What the driver must do, in the order in which the actions were emitted.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Action {
    /// Send this message on this control connection.
    Send(ConnectionId, RelayToParent),
    /// Answer this waiting runner with a refusal.
    Refuse(ConnectionId, Refusal),
    /// Close this control connection: its key is no longer valid.
    Disconnect(ConnectionId),
}

/// A runner and the parent's socket that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pairing {
    /// The runner's connection. It has waited until now.
    pub runner_connection: ConnectionId,
    /// The parent's socket.
    pub socket_connection: ConnectionId,
    /// The runner.
    pub runner: RunnerRef,
    /// The address of the runner.
    pub runner_address: IpAddr,
    /// How long the runner has waited.
    pub waited: Duration,
}

/// The state machine of a relay.
#[derive(Debug)]
pub struct RelayState {
    limits: Limits,
    connections: Connections,
    parents: BTreeMap<ConnectionId, Parent>,
    registrations: Registrations,
    waiting: WaitingRunners,
    draining: bool,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Parent {
    key: KeyId,
    address: IpAddr,
    since: Instant,
    runners: HashSet<RunnerRef>,
}

impl RelayState {
    /// A relay without connections.
    #[must_use]
    pub fn new(mut limits: Limits) -> Self {
        limits.pair_timeout = limits.pair_timeout.min(MAX_TIME);
        Self {
            limits,
            connections: Connections::default(),
            parents: BTreeMap::new(),
            registrations: Registrations::default(),
            waiting: WaitingRunners::default(),
            draining: false,
            actions: VecDeque::new(),
        }
    }

    /// A parent with a valid key has opened a control connection.
    ///
    /// # Errors
    /// [`Refusal`] if the relay is draining or a limit is reached.
    pub fn parent_connected(
        &mut self,
        now: Instant,
        key: KeyId,
        address: IpAddr,
    ) -> Result<ConnectionId, Refusal> {
        let id = self.admit(ConnectionKind::Parent, key, address)?;
        self.parents.insert(id, Parent { key, address, since: now, runners: HashSet::new() });
        Ok(id)
    }

    /// A parent registers runners, or renews their registrations.
    ///
    /// A runner that is registered on another connection with the same key moves to this one: the
    /// parent has reconnected, and the relay has not noticed yet that the old connection is broken.
    /// A runner that is registered with another key is rejected.
    pub fn register(
        &mut self,
        now: Instant,
        parent: ConnectionId,
        runners: Vec<RunnerRef>,
        expires_in: Duration,
    ) {
        let Some(key) = self.parents.get(&parent).map(|parent| parent.key) else { return };
        let expires = now + expires_in.min(MAX_TIME);
        let rejected: Vec<_> = runners
            .into_iter()
            .filter(|&runner| !self.register_one(now, parent, key, runner, expires))
            .collect();
        if !rejected.is_empty() {
            let max_runners = self.limits.runners_per_parent;
            self.send(parent, RelayToParent::Rejected { runners: rejected, max_runners });
        }
    }

    /// A parent says that runners will not connect again. Those that wait are refused.
    pub fn unregister(&mut self, parent: ConnectionId, runners: &[RunnerRef]) {
        for &runner in runners {
            if self.registrations.get(runner).is_some_and(|found| found.parent == parent) {
                self.forget(runner, &Refusal::UnknownRunner);
            }
        }
    }

    /// A runner asks for its parent. If it is admitted, it waits, and the parent learns of it.
    ///
    /// # Errors
    /// [`Refusal`] if the runner is not registered, the relay is draining, or a limit is reached.
    pub fn runner_arrived(
        &mut self,
        now: Instant,
        runner: RunnerRef,
        address: IpAddr,
        ticket: Ticket,
    ) -> Result<ConnectionId, Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
        let registration = self.registrations.get(runner).ok_or(Refusal::UnknownRunner)?;
        let parent = registration.parent;
        if registration.waiting.len() >= MAX_WAITING_PER_RUNNER {
            let max = MAX_WAITING_PER_RUNNER;
            return Err(Refusal::TooMany { limit: Limit::WaitingPerRunner, max });
        }
        let key = self.parents.get(&parent).ok_or(Refusal::UnknownRunner)?.key;
        let id = self.admit(ConnectionKind::Runner, key, address)?;
        let until = now + self.limits.pair_timeout;
        self.waiting.insert(id, WaitingRunner { runner, ticket, key, address, since: now, until });
        self.registrations.add_waiting(runner, id);
        self.announce(now, parent, id);
        Ok(id)
    }

    /// A parent has opened the socket that a ticket asked for.
    ///
    /// # Errors
    /// [`Refusal`] if no runner waits with this ticket for a parent with this key, or if a limit is
    /// reached. After the latter, the ticket is still valid.
    pub fn socket_arrived(
        &mut self,
        now: Instant,
        ticket: Ticket,
        key: KeyId,
        address: IpAddr,
    ) -> Result<Pairing, Refusal> {
        let (runner_connection, waiting) =
            self.waiting.find(ticket, key).ok_or(Refusal::UnknownTicket)?;
        let &WaitingRunner { runner, address: runner_address, since, .. } = waiting;
        let socket_connection = self.admit(ConnectionKind::Socket, key, address)?;
        self.stop_waiting(runner_connection);
        let waited = now.saturating_duration_since(since);
        Ok(Pairing { runner_connection, socket_connection, runner, runner_address, waited })
    }

    /// A connection has ended. Ends registrations if it was a control connection.
    pub fn disconnected(&mut self, id: ConnectionId) {
        if !self.connections.remove(id) {
            return;
        }
        self.stop_waiting(id);
        let Some(parent) = self.parents.remove(&id) else { return };
        for runner in parent.runners {
            self.forget(runner, &Refusal::ParentLost);
        }
    }

    /// A key is no longer valid. Its control connections end; its pairs stay connected.
    pub fn key_revoked(&mut self, key: KeyId) {
        let revoked = self.parents.iter().filter(|(_, parent)| parent.key == key);
        for id in revoked.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.actions.push_back(Action::Disconnect(id));
            self.disconnected(id);
        }
    }

    /// The relay exits after `within`. It admits no connection from now on, refuses the runners
    /// that wait, and tells the parents.
    pub fn drain(&mut self, within: Duration) {
        if std::mem::replace(&mut self.draining, true) {
            return;
        }
        for parent in self.parents.keys().copied().collect::<Vec<_>>() {
            self.send(parent, RelayToParent::Draining { within_ms: millis(within) });
        }
        while let Some((_, id)) = self.waiting.next_deadline() {
            self.refuse(id, Refusal::Draining);
        }
    }

    /// When the next [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.registrations.next_expiry().map(|(at, _)| at);
        let deadline = self.waiting.next_deadline().map(|(at, _)| at);
        expiry.into_iter().chain(deadline).min()
    }

    /// Refuses the runners whose time is over, and forgets expired registrations.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.waiting.next_deadline()
            && at <= now
        {
            self.refuse(id, Refusal::ParentTimeout { waited: self.limits.pair_timeout });
        }
        while let Some((at, runner)) = self.registrations.next_expiry()
            && at <= now
        {
            self.forget(runner, &Refusal::UnknownRunner);
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether the relay has begun to drain.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// How many connections of this kind are open.
    #[must_use]
    pub fn count(&self, kind: ConnectionKind) -> usize {
        self.connections.of_kind(kind)
    }

    /// How many runners are registered.
    #[must_use]
    pub fn registered(&self) -> usize {
        self.registrations.len()
    }

    fn admit(
        &mut self,
        kind: ConnectionKind,
        key: KeyId,
        address: IpAddr,
    ) -> Result<ConnectionId, Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
        self.connections.admit(&self.limits, kind, key, address)
    }

    /// Returns whether the runner is registered now.
    fn register_one(
        &mut self,
        now: Instant,
        parent: ConnectionId,
        key: KeyId,
        runner: RunnerRef,
        expires: Instant,
    ) -> bool {
        let owner = self.registrations.get(runner).map(|found| found.parent);
        if owner != Some(parent) && !self.has_room(parent) {
            return false;
        }
        match owner {
            None => {}
            Some(owner) if owner == parent => {}
            Some(owner) => match self.parents.get_mut(&owner) {
                Some(other) if other.key != key => return false,
                Some(other) => {
                    other.runners.remove(&runner);
                }
                None => {}
            },
        }
        if let Some(parent) = self.parents.get_mut(&parent) {
            parent.runners.insert(runner);
        }
        let waiting = self.registrations.register(runner, parent, expires);
        if owner.is_some_and(|owner| owner != parent) {
            // The old connection may have broken before the parent read the message about them.
            for id in waiting {
                self.announce(now, parent, id);
            }
        }
        true
    }

    fn has_room(&self, parent: ConnectionId) -> bool {
        let max = self.limits.runners_per_parent as usize;
        self.parents.get(&parent).is_some_and(|parent| parent.runners.len() < max)
    }

    fn announce(&mut self, now: Instant, parent: ConnectionId, waiting: ConnectionId) {
        if let Some(&WaitingRunner { runner, ticket, until, .. }) = self.waiting.get(waiting) {
            let within_ms = millis(until.saturating_duration_since(now));
            self.send(parent, RelayToParent::RunnerWaiting { runner, ticket, within_ms });
        }
    }

    /// Ends a registration, and refuses the runner's connections that wait.
    fn forget(&mut self, runner: RunnerRef, refusal: &Refusal) {
        let Some(registration) = self.registrations.remove(runner) else { return };
        if let Some(parent) = self.parents.get_mut(&registration.parent) {
            parent.runners.remove(&runner);
        }
        for id in registration.waiting {
            self.refuse(id, refusal.clone());
        }
    }

    fn refuse(&mut self, id: ConnectionId, refusal: Refusal) {
        if self.stop_waiting(id) {
            self.connections.remove(id);
            self.actions.push_back(Action::Refuse(id, refusal));
        }
    }

    /// Returns whether the connection waited.
    fn stop_waiting(&mut self, id: ConnectionId) -> bool {
        let Some(waiting) = self.waiting.remove(id) else { return false };
        self.registrations.remove_waiting(waiting.runner, id);
        true
    }

    fn send(&mut self, parent: ConnectionId, message: RelayToParent) {
        self.actions.push_back(Action::Send(parent, message));
    }
}
