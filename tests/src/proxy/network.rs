//! How a network can behave.

use std::ops::Range;

/// How the network between a client and a server behaves. The client is the side that connects: a
/// runner, or the parent of a relay.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    /// Everything passes at once.
    Normal,
    /// Each connection is cut after a number of bytes in this range, both directions together.
    Cuts(Range<u64>),
    /// Each chunk is delayed by a number of milliseconds in this range.
    Delays(Range<u64>),
    /// At most this many bytes pass in each direction every ten milliseconds, as if both sides read
    /// slowly.
    Trickle(usize),
    /// Nothing passes until the network changes. Then everything sent meanwhile passes.
    Stalled,
    /// The same in one direction only.
    Partitioned(Direction),
    /// Random bytes are inserted into each connection once, after a number of bytes in this range,
    /// both directions together.
    Garbage(Range<u64>),
    /// Every second connection is opened only after a later one.
    Reordered,
    /// Every open connection is cut, and every new one is closed at once.
    Down,
    /// Each open connection is closed on the server's side alone: on the client's side it stays
    /// open and silent. New connections work.
    HalfOpen,
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Network {
    /// Whether anything passes in this direction.
    pub(super) fn passes(&self, direction: Direction) -> bool {
        match self {
            Network::Stalled => false,
            Network::Partitioned(blocked) => *blocked != direction,
            _ => true,
        }
    }
}
