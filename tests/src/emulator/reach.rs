//! Where runners dial the suite. Processes of this machine do so at 127.0.0.1, which a container
//! with a network of its own is to itself.

use std::net::{Ipv4Addr, TcpListener};

use flame_aws::PoolBuilder;
use flame_aws::testing::{Check, Conformance};

/// The variable that has the host by which such containers reach this machine.
const ENV: &str = "FLAME_TEST_ADVERTISE";

/// A pool that its runners can dial. Not for two pools: it may have a port of its own.
pub fn reachable(pool: PoolBuilder) -> PoolBuilder {
    match told() {
        None => pool,
        Some((port, address)) => {
            pool.listen((Ipv4Addr::UNSPECIFIED, port).into()).advertise(address)
        }
    }
}

/// The checks of a suite. Each is made of a suite of its own, so that their pools can be
/// [`reachable`] side by side.
pub fn checks(suite: impl Fn() -> Conformance) -> Vec<Check> {
    let suite = || match told() {
        None => suite(),
        Some((port, address)) => {
            suite().listen((Ipv4Addr::UNSPECIFIED, port).into()).advertise(address)
        }
    };
    let all = 0..suite().checks().len();
    all.filter_map(|nth| suite().checks().into_iter().nth(nth)).collect()
}

/// A free port, and how it is reached, where that is not as ever.
fn told() -> Option<(u16, String)> {
    let host = std::env::var(ENV).ok().filter(|host| !host.is_empty())?;
    let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|port| port.local_addr());
    let port = free.expect("a free port").port();
    Some((port, format!("ws://{host}:{port}")))
}
