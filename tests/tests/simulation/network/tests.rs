//! Tests of the network alone, without hosts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{ConnectionId, Network, NetworkConfig, Side, Time};
use crate::trace::Trace;

/// The tests, by name.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("network_bytes_arrive_in_order_after_the_latency", bytes_arrive_in_order_after_the_latency),
    ("network_a_slow_reader_stops_the_sender", a_slow_reader_stops_the_sender),
    ("network_held_packets_arrive_after_the_route_is_healed", held_packets_arrive_after_healing),
    ("network_a_host_without_a_listener_refuses", a_host_without_a_listener_refuses),
    ("network_a_forgotten_connection_is_silent", a_forgotten_connection_is_silent),
    ("network_a_dead_process_closes_its_connections", a_dead_process_closes_its_connections),
    ("network_a_lost_machine_says_nothing", a_lost_machine_says_nothing),
];

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);
const LATENCY: Duration = Duration::from_millis(10);
const MINUTE: Duration = Duration::from_secs(60);

struct Pair {
    network: Network,
    now: Time,
    id: ConnectionId,
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Pair {
    /// A connection on its way.
    fn opening(is_listening: bool) -> Self {
        let config = NetworkConfig {
            latency: LATENCY,
            spread: 2,
            jitter: Duration::from_millis(30),
            cell_time: Duration::from_millis(1),
            window: 64 * 1024,
        };
        let mut network = Network::new(config, 1, Trace::new(false));
        network.add_host(CLIENT);
        network.add_host(SERVER.ip());
        if is_listening {
            network.listen(SERVER).unwrap();
        }
        let id = network.open(Duration::ZERO, CLIENT, SERVER);
        Self { network, now: Duration::ZERO, id }
    }

    /// A connection that is open.
    fn open() -> Self {
        let mut pair = Self::opening(true);
        pair.pass(Duration::from_secs(1));
        assert!(matches!(pair.network.poll_open(&cx(), pair.id), Poll::Ready(Ok(()))));
        assert!(pair.network.poll_accept(&cx(), SERVER).is_ready());
        pair
    }

    /// Delivers all packets of this time.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        // Packets may lead to others.
        for _ in 0..10 {
            self.network.deliver(CLIENT, self.now);
            self.network.deliver(SERVER.ip(), self.now);
        }
    }

    fn write(&mut self, side: Side, bytes: &[u8]) -> Option<usize> {
        match self.network.poll_write(self.now, &cx(), self.id, side, bytes) {
            Poll::Ready(written) => Some(written.unwrap()),
            Poll::Pending => None,
        }
    }

    /// Reads everything; `None` if the end is reset.
    fn read(&mut self, side: Side) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let before = all.len();
            let read = self.network.poll_read(self.now, &cx(), self.id, side, |bytes| {
                all.extend_from_slice(bytes);
                bytes.len()
            });
            match read {
                Poll::Ready(Ok(())) if all.len() > before => {}
                Poll::Ready(Ok(())) | Poll::Pending => return Some(all),
                Poll::Ready(Err(_)) => return None,
            }
        }
    }
}

fn bytes_arrive_in_order_after_the_latency() {
    let mut pair = Pair::open();
    let bytes: Vec<u8> = (0..40_000_u32).map(|n| n as u8).collect();
    let mut sent = 0;
    while sent < bytes.len() {
        sent += pair.write(Side::Client, &bytes[sent..]).unwrap();
    }
    pair.pass(LATENCY - Duration::from_millis(1));
    assert_eq!(pair.read(Side::Server).unwrap(), b"");
    pair.pass(MINUTE);
    assert_eq!(pair.read(Side::Server).unwrap(), bytes);
}

fn a_slow_reader_stops_the_sender() {
    let mut pair = Pair::open();
    let mut sent = 0;
    while let Some(written) = pair.write(Side::Client, &[0; 4096]) {
        sent += written;
    }
    assert_eq!(sent, 64 * 1024);
    pair.pass(MINUTE);
    assert_eq!(pair.write(Side::Client, b"more"), None);
    assert_eq!(pair.read(Side::Server).unwrap().len(), sent);
    pair.pass(MINUTE);
    assert_eq!(pair.write(Side::Client, b"more"), Some(4));
}

fn held_packets_arrive_after_healing() {
    let mut pair = Pair::open();
    pair.network.hold(CLIENT, SERVER.ip());
    pair.write(Side::Client, b"to the server");
    pair.write(Side::Server, b"to the client");
    pair.pass(MINUTE);
    assert_eq!(pair.read(Side::Server).unwrap(), b"");
    assert_eq!(pair.read(Side::Client).unwrap(), b"to the client");
    pair.network.heal(pair.now, CLIENT, SERVER.ip());
    pair.pass(MINUTE);
    assert_eq!(pair.read(Side::Server).unwrap(), b"to the server");
}

fn a_host_without_a_listener_refuses() {
    let mut pair = Pair::opening(false);
    pair.pass(Duration::from_secs(1));
    let opened = pair.network.poll_open(&cx(), pair.id);
    assert!(matches!(opened, Poll::Ready(Err(_))), "{opened:?}");
}

fn a_forgotten_connection_is_silent() {
    let mut pair = Pair::open();
    pair.network.forget(pair.id);
    pair.write(Side::Client, b"into the void");
    pair.network.close(pair.now, pair.id, Side::Client);
    pair.pass(MINUTE);
    assert_eq!(pair.read(Side::Server).unwrap(), b"");
    assert_eq!(pair.network.open_connections().len(), 1);
}

fn a_dead_process_closes_its_connections() {
    let mut pair = Pair::open();
    pair.write(Side::Client, b"never read");
    pair.pass(MINUTE);
    pair.network.process_died(pair.now, SERVER.ip());
    pair.pass(MINUTE);
    assert_eq!(pair.read(Side::Client), None);
    let opened = pair.network.open(pair.now, CLIENT, SERVER);
    pair.pass(MINUTE);
    assert!(matches!(pair.network.poll_open(&cx(), opened), Poll::Ready(Err(_))));
}

fn a_lost_machine_says_nothing() {
    let mut pair = Pair::open();
    pair.network.machine_lost(SERVER.ip());
    pair.write(Side::Client, b"into the void");
    pair.pass(MINUTE);
    assert_eq!(pair.read(Side::Client).unwrap(), b"");
    pair.network.close(pair.now, pair.id, Side::Client);
    assert_eq!(pair.network.open_connections(), Vec::<String>::new());
}
