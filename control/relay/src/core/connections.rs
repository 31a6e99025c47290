//! The admitted connections, counted in all, by address and by key.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::counts::Counts;
use super::{Limit, Limits, Refusal};
use crate::keys::KeyId;

/// One admitted connection. Ids are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub(crate) u64);

/// Which client has opened a connection, and for which purpose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConnectionKind {
    /// A parent's control connection.
    Parent,
    /// A runner's socket, waiting or paired.
    Runner,
    /// A parent's socket to one runner.
    Socket,
}

/// The connections, and how many there are.
#[derive(Debug, Default)]
pub(super) struct Connections {
    last_id: u64,
    open: HashMap<ConnectionId, Connection>,
    by_address: Counts<IpAddr>,
    by_key: Counts<KeyId>,
    by_kind: Counts<ConnectionKind>,
}

#[derive(Debug)]
struct Connection {
    kind: ConnectionKind,
    key: KeyId,
    network: IpAddr,
}

impl Connections {
    /// Counts one more connection, or says which limit is reached.
    pub(super) fn admit(
        &mut self,
        limits: &Limits,
        kind: ConnectionKind,
        key: KeyId,
        address: IpAddr,
    ) -> Result<ConnectionId, Refusal> {
        let network = network(address);
        for (limit, count, max) in [
            (Limit::Connections, self.open.len(), limits.connections),
            (Limit::PerAddress, self.by_address.get(&network), limits.connections_per_address),
            (Limit::PerKey, self.by_key.get(&key), limits.connections_per_key),
        ] {
            if count >= max {
                return Err(Refusal::TooMany { limit, max });
            }
        }
        self.last_id += 1;
        let id = ConnectionId(self.last_id);
        self.by_address.add(network);
        self.by_key.add(key);
        self.by_kind.add(kind);
        self.open.insert(id, Connection { kind, key, network });
        Ok(id)
    }

    /// Returns whether the connection was open.
    pub(super) fn remove(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.open.remove(&id) else { return false };
        self.by_address.subtract(&connection.network);
        self.by_key.subtract(&connection.key);
        self.by_kind.subtract(&connection.kind);
        true
    }

    pub(super) fn of_kind(&self, kind: ConnectionKind) -> usize {
        self.by_kind.get(&kind)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The address with the most connections.
    pub(super) fn most_per_address(&self) -> Option<(IpAddr, usize)> {
        self.by_address.most()
    }

    /// The key with the most connections.
    pub(super) fn most_per_key(&self) -> Option<(KeyId, usize)> {
        self.by_key.most()
    }

    /// Whether nothing is counted any more.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
            && self.by_address.is_empty()
            && self.by_key.is_empty()
            && self.by_kind.is_empty()
    }
}

/// The addresses that count as one. A single IPv6 client usually has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::9"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
