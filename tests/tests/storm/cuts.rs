//! The storm of network faults. It must lose no call.

use std::sync::Arc;
use std::time::Duration;

use flame_tests::proxy::{Direction, Network, pool_behind};
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use tokio::time::Instant;

use crate::callers::{Callers, ExpectedErrors};
use crate::context::StormContext;
use crate::options::Extent;
use crate::report::Section;

/// Longer than any fault lasts.
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn run(context: &Arc<StormContext>, Extent { time, .. }: Extent) {
    let mut random = context.random("network");
    let make = || {
        let pool = context.pool().min(1).boot_timeout(MINUTE).timeout(MINUTE);
        // Inserted bytes may announce a frame that never ends: the connection is then silent.
        pool.keepalive_timeout(Duration::from_secs(5)).reconnect_timeout(MINUTE)
    };
    let (pool, proxy) = pool_behind(make, random.next_u64()).await;
    let callers = Callers::start(context, &pool, ExpectedErrors::None);

    let end = Instant::now() + time;
    while Instant::now() < end {
        let millis = random.random_range(20..400);
        let (network, name) = network(&mut random);
        context.ledger.count(Section::Disruptions, name, 1);
        proxy.set(network);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    proxy.set(Network::Normal);
    callers.stop().await;
    crate::end(context, pool).await;
    context.ledger.count(Section::Disruptions, "connections", proxy.connections() as u64);
}

/// The next behaviour of a network, and a name for it.
pub(crate) fn network(random: &mut StdRng) -> (Network, &'static str) {
    match random.random_range(0..100) {
        0..25 => (Network::Cuts(2_000..300_000), "periods of cuts"),
        // Few enough bytes to cut connections within their handshakes.
        25..32 => (Network::Cuts(100..3_000), "periods of cuts in handshakes"),
        32..42 => (Network::Delays(0..30), "periods of delays"),
        42..48 => (Network::Stalled, "periods of stalls"),
        48..54 => (Network::Down, "periods without a network"),
        54..58 => (Network::HalfOpen, "periods of half-open connections"),
        58..64 => (Network::Trickle(random.random_range(50..5_000)), "periods of a trickle"),
        64..70 => (Network::Garbage(0..50_000), "periods of garbage"),
        70..76 => (Network::Reordered, "periods of reordered connections"),
        76..79 => (Network::Partitioned(Direction::ToServer), "partitions towards the server"),
        79..82 => (Network::Partitioned(Direction::ToClient), "partitions towards the client"),
        _ => (Network::Normal, "periods without faults"),
    }
}
