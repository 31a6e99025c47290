//! The network between the hosts: connections that behave like those of TCP, and their faults.
//! Pure: `now` is an argument, and all randomness comes from the seed.
//!
//! ```text
//! socket.rs ── open, write, read, close ──▶ Network ── packets, later ──▶ deliver ── wakes ──▶ socket.rs
//!                                              ▲
//! faults.rs ── hold, reset, forget, garble ────┘
//! ```
//!
//! A packet takes the latency of its route, some jitter, and the time that its bytes take at the
//! route's bandwidth. The packets of one direction of a connection never overtake each other. A
//! receiver grants its sender a window, so a slow reader stops the sender.
//!
//! Every packet takes at least the shortest latency. So all hosts can run for that long, one after
//! the other, before any of them has to know what the others have sent.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Buf;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::trace::Trace;

mod connection;
mod faults;
mod socket;
pub(crate) mod tests;

pub(crate) use connection::Side;
use connection::{Connection, End, Garbling, Packet, Payload};
pub(crate) use socket::{HostClock, HostNetwork};

/// The time since the start of the simulation.
pub(crate) type Time = Duration;

/// Identifies a connection.
pub(crate) type ConnectionId = u64;

/// The longest packet.
const SEGMENT: usize = 16 * 1024;
/// Bandwidth is counted in units of this many bytes. Handshakes of TLS have random lengths, which
/// differ by a few bytes and must not change the time of anything.
const CELL: usize = 1024;
/// How many connections may wait to be accepted.
const BACKLOG: usize = 256;

/// The properties of all routes of a network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NetworkConfig {
    /// The shortest time that a packet takes.
    pub(crate) latency: Duration,
    /// The latency of a route is at most this many times the shortest one.
    pub(crate) spread: u32,
    /// How much longer a packet may take.
    pub(crate) jitter: Duration,
    /// How long [`CELL`] bytes take.
    pub(crate) cell_time: Duration,
    /// How many bytes a sender may send before the receiver has read them.
    pub(crate) window: usize,
}

/// All hosts and connections.
pub(crate) struct Network {
    config: NetworkConfig,
    pub(crate) random: StdRng,
    pub(crate) trace: Trace,
    hosts: BTreeMap<IpAddr, HostState>,
    routes: BTreeMap<(IpAddr, IpAddr), Route>,
    connections: BTreeMap<ConnectionId, Connection>,
    last_connection: ConnectionId,
    last_packet: u64,
}

/// A host as the network sees it.
#[derive(Default)]
struct HostState {
    /// Packets on their way to it, by their time of arrival.
    arrivals: BTreeMap<(Time, u64), Packet>,
    listeners: BTreeMap<u16, ListenerState>,
    /// The host resets connections that are opened to it.
    is_refusing: bool,
    last_port: u16,
}

#[derive(Default)]
struct ListenerState {
    backlog: VecDeque<ConnectionId>,
    waker: Option<Waker>,
}

/// The way from one host to another.
struct Route {
    latency: Duration,
    /// Packets stay here until the route is healed.
    held: Option<Vec<Packet>>,
}

impl Network {
    pub(crate) fn new(config: NetworkConfig, seed: u64, trace: Trace) -> Self {
        Self {
            config,
            random: StdRng::seed_from_u64(seed),
            trace,
            hosts: BTreeMap::new(),
            routes: BTreeMap::new(),
            connections: BTreeMap::new(),
            last_connection: 0,
            last_packet: 0,
        }
    }

    pub(crate) fn add_host(&mut self, address: IpAddr) {
        self.hosts.entry(address).or_default();
    }

    /// When the next packet arrives at this host.
    pub(crate) fn next_arrival(&self, host: IpAddr) -> Option<Time> {
        self.hosts.get(&host)?.arrivals.first_key_value().map(|((at, _), _)| *at)
    }

    /// Delivers the packets that have arrived at this host.
    pub(crate) fn deliver(&mut self, host: IpAddr, now: Time) {
        while let Some(state) = self.hosts.get_mut(&host)
            && let Some(first) = state.arrivals.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), packet) = first.remove_entry();
            self.arrived(at, packet);
        }
    }

    fn arrived(&mut self, now: Time, packet: Packet) {
        let Packet { connection: id, to, payload } = packet;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let name = payload.name();
        let end = connection.end(to);
        self.trace.line(now, format_args!("connection {id}: {name} at {}", end.address));
        match payload {
            Payload::Open => {
                let address = end.address;
                let Some(host) = self.hosts.get_mut(&address.ip()) else { return };
                let is_refusing = host.is_refusing;
                match host.listeners.get_mut(&address.port()) {
                    Some(listener) if !is_refusing && listener.backlog.len() < BACKLOG => {
                        listener.backlog.push_back(id);
                        listener.waker.take().into_iter().for_each(Waker::wake);
                        end.is_open = true;
                        end.is_closed = false;
                        self.send(now, id, to, Payload::Opened);
                    }
                    _ => self.send(now, id, to, Payload::Reset),
                }
            }
            Payload::Opened => {
                end.is_open = true;
                end.wake();
            }
            // The process that could read the bytes is gone.
            Payload::Data(_) if end.is_closed => self.send(now, id, to, Payload::Reset),
            Payload::Data(bytes) => {
                if !end.is_reset {
                    end.received.extend_from_slice(&bytes);
                    end.wake();
                }
            }
            Payload::Window(read) => {
                end.window += read;
                end.wake();
            }
            Payload::Finish => {
                end.peer_has_finished = true;
                end.wake();
            }
            Payload::Reset => end.reset(),
        }
        self.forget_closed(id);
    }

    /// Opens a connection. The returned one is open once [`poll_open`](Self::poll_open) says so.
    fn open(&mut self, now: Time, from: IpAddr, to: SocketAddr) -> ConnectionId {
        self.last_connection += 1;
        let id = self.last_connection;
        let host = self.hosts.entry(from).or_default();
        host.last_port = host.last_port.wrapping_add(1) | 0x8000;
        let client = SocketAddr::new(from, host.last_port);
        let mut connection = Connection {
            client: End::new(client, &self.config),
            server: End::new(to, &self.config),
        };
        connection.server.is_closed = true;
        self.connections.insert(id, connection);
        self.trace.line(now, format_args!("connection {id}: {client} opens it to {to}"));
        self.send(now, id, Side::Client, Payload::Open);
        id
    }

    fn poll_open(&mut self, cx: &Context<'_>, id: ConnectionId) -> Poll<io::Result<()>> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
        };
        let client = &mut connection.client;
        if client.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
        }
        if client.is_open {
            return Poll::Ready(Ok(()));
        }
        client.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn listen(&mut self, address: SocketAddr) -> io::Result<()> {
        let host = self.hosts.entry(address.ip()).or_default();
        if host.listeners.contains_key(&address.port()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        host.listeners.insert(address.port(), ListenerState::default());
        Ok(())
    }

    fn poll_accept(
        &mut self,
        cx: &Context<'_>,
        address: SocketAddr,
    ) -> Poll<(ConnectionId, SocketAddr)> {
        let host = self.hosts.get_mut(&address.ip());
        let Some(listener) = host.and_then(|host| host.listeners.get_mut(&address.port())) else {
            return Poll::Pending;
        };
        while let Some(id) = listener.backlog.pop_front() {
            if let Some(connection) = self.connections.get(&id) {
                return Poll::Ready((id, connection.client.address));
            }
        }
        listener.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Stops accepting connections. Those that wait are reset.
    fn unlisten(&mut self, now: Time, address: SocketAddr) {
        let host = self.hosts.get_mut(&address.ip());
        let listener = host.and_then(|host| host.listeners.remove(&address.port()));
        for id in listener.into_iter().flat_map(|listener| listener.backlog) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.server.is_closed = true;
                self.send(now, id, Side::Server, Payload::Reset);
                self.forget_closed(id);
            }
        }
    }

    fn poll_read(
        &mut self,
        now: Time,
        cx: &Context<'_>,
        id: ConnectionId,
        side: Side,
        mut read: impl FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<()>> {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        let window = self.config.window;
        let end = self.connections.get_mut(&id).ok_or_else(reset)?.end(side);
        if end.is_reset {
            return Poll::Ready(Err(reset()));
        }
        if end.received.is_empty() {
            if end.peer_has_finished {
                return Poll::Ready(Ok(()));
            }
            end.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = read(&end.received);
        end.received.advance(len);
        end.read += len;
        // A sender that is never told of the last bytes still has most of its window.
        if end.read >= window / 4 {
            let read = std::mem::take(&mut end.read);
            self.send(now, id, side, Payload::Window(read));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        now: Time,
        cx: &Context<'_>,
        id: ConnectionId,
        side: Side,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let end = self.connections.get_mut(&id).ok_or_else(broken)?.end(side);
        if end.is_reset || end.has_finished {
            return Poll::Ready(Err(broken()));
        }
        let len = bytes.len().min(end.window).min(SEGMENT);
        if len == 0 && !bytes.is_empty() {
            end.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        end.window -= len;
        let mut data = bytes[..len].to_vec();
        let garbling = end.garbling;
        end.garbling = garbling.next();
        match garbling {
            Garbling::None => {}
            // Not random: what a receiver makes of it must not depend on the keys of TLS.
            Garbling::Next => data[len / 2..].fill(0xff),
            Garbling::All => data.fill(0xff),
        }
        self.send(now, id, side, Payload::Data(data.into()));
        Poll::Ready(Ok(len))
    }

    /// Sends no more bytes.
    fn finish(&mut self, now: Time, id: ConnectionId, side: Side) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !std::mem::replace(&mut connection.end(side).has_finished, true) {
            self.send(now, id, side, Payload::Finish);
        }
    }

    /// The process closes its end, or has died.
    fn close(&mut self, now: Time, id: ConnectionId, side: Side) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = connection.end(side);
        if std::mem::replace(&mut end.is_closed, true) {
            return;
        }
        (end.reader, end.writer) = (None, None);
        if !end.is_reset {
            if end.received.is_empty() {
                self.finish(now, id, side);
            } else {
                self.send(now, id, side, Payload::Reset);
            }
        }
        self.forget_closed(id);
    }

    fn forget_closed(&mut self, id: ConnectionId) {
        if self.connections.get(&id).is_some_and(|connection| {
            let client_is_gone = connection.client.is_closed;
            // Closed, or never accepted and no longer wanted.
            client_is_gone && connection.server.is_closed && connection.server.is_open
                || client_is_gone && connection.client.is_reset
        }) {
            self.connections.remove(&id);
        }
    }

    fn send(&mut self, now: Time, id: ConnectionId, from: Side, payload: Payload) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let hosts = (connection.end(from).address.ip(), connection.end(from.other()).address.ip());
        if connection.end(from).is_forgotten {
            return;
        }
        let packet = Packet { connection: id, to: from.other(), payload };
        let route = self.route(hosts);
        if let Some(held) = &mut route.held {
            held.push(packet);
            return;
        }
        self.depart(now, Duration::ZERO, packet);
    }

    /// A packet leaves its host.
    fn depart(&mut self, now: Time, delay: Duration, packet: Packet) {
        let from = packet.to.other();
        let config = self.config;
        let jitter = self.random.random_range(0..=config.jitter.as_millis() as u64);
        let Some(connection) = self.connections.get_mut(&packet.connection) else { return };
        let to = connection.end(packet.to).address.ip();
        let latency = {
            let hosts = (connection.end(from).address.ip(), to);
            self.route(hosts).latency
        };
        let Some(connection) = self.connections.get_mut(&packet.connection) else { return };
        let end = connection.end(from);
        end.sent_at = end.sent_at.max(now) + config.cell_time * packet.payload.cells();
        let arrival = end.sent_at + latency + Duration::from_millis(jitter) + delay;
        // Clocks have a resolution of a millisecond.
        let arrival = Duration::from_millis(arrival.as_micros().div_ceil(1000) as u64);
        end.last_arrival = end.last_arrival.max(arrival);
        let arrival = end.last_arrival;
        self.last_packet += 1;
        if let Some(host) = self.hosts.get_mut(&to) {
            host.arrivals.insert((arrival, self.last_packet), packet);
        }
    }

    fn route(&mut self, hosts: (IpAddr, IpAddr)) -> &mut Route {
        let (config, random) = (&self.config, &mut self.random);
        self.routes.entry(hosts).or_insert_with(|| {
            let shortest = config.latency.as_millis() as u64;
            let latency = random.random_range(shortest..=shortest * u64::from(config.spread));
            Route { latency: Duration::from_millis(latency), held: None }
        })
    }
}
