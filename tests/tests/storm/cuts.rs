//! The storm of network faults. It must lose no call.

use std::sync::Arc;
use std::time::Duration;

use flame_tests::proxy::{Network, pool_behind};
use rand::{Rng, RngCore};
use tokio::time::Instant;

use crate::callers::{Callers, ExpectedErrors};
use crate::context::StormContext;
use crate::report::Section;

/// Longer than any fault lasts.
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn run(context: &Arc<StormContext>, time: Duration) {
    let mut random = context.random("network");
    let make =
        || context.pool().min(1).reconnect_timeout(MINUTE).boot_timeout(MINUTE).timeout(MINUTE);
    let (pool, proxy) = pool_behind(make, random.next_u64()).await;
    let callers = Callers::start(context, &pool, ExpectedErrors::None);

    let end = Instant::now() + time;
    while Instant::now() < end {
        let (kind, millis) = (random.random_range(0..100), random.random_range(20..400));
        let (network, name) = match kind {
            0..35 => (Network::Cuts(2_000..300_000), "periods of cuts"),
            // Few enough bytes to cut connections within their handshakes.
            35..45 => (Network::Cuts(100..3_000), "periods of cuts in handshakes"),
            45..60 => (Network::Delays(0..30), "periods of delays"),
            60..70 => (Network::Stalled, "periods of stalls"),
            70..80 => (Network::Down, "periods without a network"),
            _ => (Network::Normal, "periods without faults"),
        };
        context.ledger.count(Section::Disruptions, name, 1);
        proxy.set(network);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    proxy.set(Network::Normal);
    callers.stop().await;
    crate::end(context, pool).await;
    context.ledger.count(Section::Disruptions, "connections", proxy.connections() as u64);
}
