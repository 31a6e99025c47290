//! The faults of the network. `../faults.rs` decides when they happen.

use std::net::IpAddr;
use std::time::Duration;

use rand::Rng;

use super::{ConnectionId, Garbling, Network, Payload, Side, Time};

/// How much longer than its route's latency a held packet may take after the route is healed: TCP
/// sends lost packets again, with growing pauses.
const RETRANSMISSION: Duration = Duration::from_secs(2);

impl Network {
    /// The connections, by age.
    pub(crate) fn connections(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }

    /// The connections that a process has not closed, for a message.
    pub(crate) fn open_connections(&self) -> Vec<String> {
        let open = self
            .connections
            .iter()
            .filter(|(_, connection)| !connection.client.is_closed || !connection.server.is_closed);
        open.map(|(id, connection)| {
            let (client, server) = (&connection.client, &connection.server);
            format!("{id} from {} to {}", client.address, server.address)
        })
        .collect()
    }

    /// Holds all packets from one host to another, until [`heal`](Self::heal).
    pub(crate) fn hold(&mut self, from: IpAddr, to: IpAddr) {
        self.route((from, to)).held.get_or_insert_with(Vec::new);
    }

    /// Lets packets pass again. Those that were held arrive late.
    pub(crate) fn heal(&mut self, now: Time, from: IpAddr, to: IpAddr) {
        for packet in self.route((from, to)).held.take().into_iter().flatten() {
            let longest = RETRANSMISSION.as_millis() as u64;
            let delay = Duration::from_millis(self.random.random_range(0..=longest));
            self.depart(now, delay, packet);
        }
    }

    /// Whether this host resets all connections that are opened to it.
    pub(crate) fn refuse(&mut self, host: IpAddr, is_refusing: bool) {
        if let Some(host) = self.hosts.get_mut(&host) {
            host.is_refusing = is_refusing;
        }
    }

    /// Resets both ends of a connection, as a firewall does.
    pub(crate) fn reset(&mut self, id: ConnectionId) {
        self.reset_end(id, Side::Client);
        self.reset_end(id, Side::Server);
        self.forget(id);
    }

    /// Resets one end. The other end learns nothing of it.
    pub(crate) fn reset_end(&mut self, id: ConnectionId, side: Side) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.end(side).reset();
        }
        self.forget(id);
    }

    /// From now on, all packets of a connection vanish.
    pub(crate) fn forget(&mut self, id: ConnectionId) {
        self.forget_side(id, Side::Client);
        self.forget_side(id, Side::Server);
    }

    /// From now on, the packets that one end sends vanish.
    pub(crate) fn forget_side(&mut self, id: ConnectionId, side: Side) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.end(side).is_forgotten = true;
        }
    }

    /// From now on, all packets of all connections of a host vanish: it has moved to another
    /// network.
    pub(crate) fn forget_host(&mut self, host: IpAddr) {
        for connection in self.connections.values_mut() {
            if [&connection.client, &connection.server].iter().any(|end| end.address.ip() == host) {
                connection.client.is_forgotten = true;
                connection.server.is_forgotten = true;
            }
        }
    }

    /// From now on, garbage arrives in place of the bytes that one end sends.
    pub(crate) fn garble(&mut self, id: ConnectionId, side: Side) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.end(side).garbling = Garbling::Next;
        }
    }

    /// A process dies: its host closes its sockets.
    pub(crate) fn process_died(&mut self, now: Time, host: IpAddr) {
        let listeners = self.hosts.get_mut(&host).map(|host| std::mem::take(&mut host.listeners));
        for (id, side) in self.ends_at(host) {
            self.close(now, id, side);
        }
        for id in listeners.into_iter().flatten().flat_map(|(_, listener)| listener.backlog) {
            self.send(now, id, Side::Server, Payload::Reset);
        }
    }

    /// A machine is lost, without a word to its peers.
    pub(crate) fn machine_lost(&mut self, host: IpAddr) {
        self.forget_host(host);
        self.hosts.remove(&host);
        for (id, side) in self.ends_at(host) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.end(side).is_open = true;
                connection.end(side).is_closed = true;
            }
            self.forget_closed(id);
        }
    }

    /// A machine that was suspended receives now what would have arrived in the meantime.
    pub(crate) fn resumed(&mut self, now: Time, host: IpAddr) {
        let Some(host) = self.hosts.get_mut(&host) else { return };
        let later = host.arrivals.split_off(&(now, 0));
        let missed = std::mem::replace(&mut host.arrivals, later);
        host.arrivals.extend(missed.into_iter().map(|((_, packet), what)| ((now, packet), what)));
    }

    fn ends_at(&self, host: IpAddr) -> Vec<(ConnectionId, Side)> {
        let ends = self.connections.iter().flat_map(|(id, connection)| {
            [(*id, Side::Client, &connection.client), (*id, Side::Server, &connection.server)]
        });
        ends.filter(|(_, _, end)| end.address.ip() == host)
            .map(|(id, side, _)| (id, side))
            .collect()
    }
}
