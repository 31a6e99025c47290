//! The address at which runners reach the suite. Processes on this machine use 127.0.0.1, but in a
//! container with its own network that address is the container itself.

use std::net::{Ipv4Addr, TcpListener};

use flame_aws::PoolBuilder;

use crate::harness::{is_relayed, through_shared_relay};

/// The variable with the host name at which such containers reach this machine.
const ENV: &str = "FLAME_TEST_ADVERTISE";

/// Makes a pool reachable for its runners, in the mode of the test that calls this. If
/// `FLAME_TEST_ADVERTISE` is set, a pool without a relay listens on a fixed port, so start only one
/// pool from the result.
pub fn reachable(pool: PoolBuilder) -> PoolBuilder {
    if is_relayed() {
        return through_shared_relay(pool);
    }
    // A program that a test has started: its environment names the relay.
    if std::env::var_os("FLAME_RELAY_URL").is_some() {
        return pool;
    }
    match advertised() {
        None => pool,
        Some((port, address)) => {
            pool.listen((Ipv4Addr::UNSPECIFIED, port).into()).advertise(address)
        }
    }
}

/// Returns a free port and its URL, if the variable is set.
pub(crate) fn advertised() -> Option<(u16, String)> {
    let host = std::env::var(ENV).ok().filter(|host| !host.is_empty())?;
    let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|port| port.local_addr());
    let port = free.expect("a free port").port();
    Some((port, format!("ws://{host}:{port}")))
}
