//! The runners that wait for their parents, by connection, by ticket and by deadline.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use flame_wire::ids::RunnerRef;
use flame_wire::relay::Ticket;

use super::ConnectionId;
use crate::keys::KeyId;

/// The runners that wait for their parents.
#[derive(Debug, Default)]
pub(super) struct WaitingRunners {
    by_connection: HashMap<ConnectionId, WaitingRunner>,
    by_ticket: HashMap<Ticket, ConnectionId>,
    deadlines: BTreeSet<(Instant, ConnectionId)>,
}

/// One connection of a runner that waits for its parent.
#[derive(Debug)]
pub(super) struct WaitingRunner {
    pub(super) runner: RunnerRef,
    pub(super) ticket: Ticket,
    /// The key of its parent.
    pub(super) key: KeyId,
    pub(super) address: IpAddr,
    pub(super) since: Instant,
    pub(super) until: Instant,
}

impl WaitingRunners {
    pub(super) fn insert(&mut self, id: ConnectionId, waiting: WaitingRunner) {
        self.by_ticket.insert(waiting.ticket, id);
        self.deadlines.insert((waiting.until, id));
        self.by_connection.insert(id, waiting);
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<WaitingRunner> {
        let waiting = self.by_connection.remove(&id)?;
        self.by_ticket.remove(&waiting.ticket);
        self.deadlines.remove(&(waiting.until, id));
        Some(waiting)
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&WaitingRunner> {
        self.by_connection.get(&id)
    }

    /// The connection that waits with this ticket for a parent with this key.
    pub(super) fn find(
        &self,
        ticket: Ticket,
        key: KeyId,
    ) -> Option<(ConnectionId, &WaitingRunner)> {
        let &id = self.by_ticket.get(&ticket)?;
        self.get(id).filter(|waiting| waiting.key == key).map(|waiting| (id, waiting))
    }

    /// The connections, those first whose time runs out first.
    pub(super) fn by_deadline(&self) -> impl Iterator<Item = (ConnectionId, &WaitingRunner)> {
        self.deadlines.iter().filter_map(|&(_, id)| Some((id, self.get(id)?)))
    }

    pub(super) fn len(&self) -> usize {
        self.by_connection.len()
    }

    /// The connection whose time runs out first.
    pub(super) fn next_deadline(&self) -> Option<(Instant, ConnectionId)> {
        self.deadlines.first().copied()
    }
}
