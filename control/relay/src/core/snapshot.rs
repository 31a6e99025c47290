//! What the tables of a relay contain at one moment, for people who watch the relay.
//!
//! A snapshot has a bounded number of rows of each table. Its cost depends on this number, and not
//! on the number of clients.

use std::net::IpAddr;
use std::time::Instant;

use flame_wire::ids::RunnerRef;

use super::{ConnectionId, RelayState};
use crate::keys::KeyId;

/// The first rows of a table, and how many the table has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rows<T> {
    /// The rows that are shown.
    pub rows: Vec<T>,
    /// How many rows there are, including those that are not shown.
    pub total: usize,
}

/// A parent's control connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParentRow {
    /// The control connection.
    pub id: ConnectionId,
    /// The address of the parent.
    pub address: IpAddr,
    /// The parent's key.
    pub key: KeyId,
    /// How many runners the parent has registered on this connection.
    pub registered: usize,
    /// When the parent connected.
    pub since: Instant,
}

/// A runner that waits for its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitingRow {
    /// The runner's connection.
    pub id: ConnectionId,
    /// The runner.
    pub runner: RunnerRef,
    /// The address of the runner.
    pub address: IpAddr,
    /// The address of the runner's parent. `None` if the parent is just leaving.
    pub parent: Option<IpAddr>,
    /// When the runner arrived.
    pub since: Instant,
    /// When the relay refuses the runner.
    pub until: Instant,
}

/// The state of a relay at one moment. It contains no ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The control connections, the latest first.
    pub parents: Rows<ParentRow>,
    /// The runners that wait for their parents, those first whose time is over first.
    pub waiting: Rows<WaitingRow>,
    /// How many runners are registered.
    pub registered: usize,
    /// How many connections count against [`Limits::connections`](super::Limits::connections).
    pub connections: usize,
    /// The address with the most connections. For IPv6, its /64 network.
    pub most_per_address: Option<(IpAddr, usize)>,
    /// The key with the most connections.
    pub most_per_key: Option<(KeyId, usize)>,
    /// The address of the parent with the most registered runners, and how many.
    pub most_per_parent: Option<(IpAddr, usize)>,
    /// Whether the relay has begun to drain.
    pub draining: bool,
}

impl RelayState {
    /// The state now, with at most `max_rows` rows of each table.
    #[must_use]
    pub fn snapshot(&self, max_rows: usize) -> Snapshot {
        let parents = self.parents.iter().rev().take(max_rows).map(|(&id, parent)| ParentRow {
            id,
            address: parent.address,
            key: parent.key,
            registered: self.registrations.of(id),
            since: parent.since,
        });
        let waiting = self.waiting.by_deadline().take(max_rows).map(|(id, waiting)| {
            let registration = self.registrations.get(waiting.runner);
            let parent = registration.and_then(|found| self.parents.get(&found.parent));
            WaitingRow {
                id,
                runner: waiting.runner,
                address: waiting.address,
                parent: parent.map(|parent| parent.address),
                since: waiting.since,
                until: waiting.until,
            }
        });
        let most_per_parent = self.registrations.most_per_parent();
        Snapshot {
            parents: Rows { rows: parents.collect(), total: self.parents.len() },
            waiting: Rows { rows: waiting.collect(), total: self.waiting.len() },
            registered: self.registrations.len(),
            connections: self.connections.len(),
            most_per_address: self.connections.most_per_address(),
            most_per_key: self.connections.most_per_key(),
            most_per_parent: most_per_parent
                .and_then(|(id, count)| Some((self.parents.get(&id)?.address, count))),
            draining: self.draining,
        }
    }
}
