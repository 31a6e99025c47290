//! A network that does its worst. No call may be lost by it.

use std::sync::Arc;
use std::time::Duration;

use flame_tests::proxy::{Weather, pool_behind};
use rand::{Rng, RngCore};
use tokio::time::Instant;

use crate::callers::{Callers, Hardship};
use crate::ground::Ground;
use crate::report::Part;

/// Longer than any weather.
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn rage(ground: &Arc<Ground>, time: Duration) {
    let mut random = ground.random("weather");
    let make =
        || ground.pool().min(1).reconnect_timeout(MINUTE).boot_timeout(MINUTE).timeout(MINUTE);
    let (pool, proxy) = pool_behind(make, random.next_u64()).await;
    let callers = Callers::start(ground, &pool, Hardship::None);

    let end = Instant::now() + time;
    while Instant::now() < end {
        let (what, millis) = (random.random_range(0..100), random.random_range(20..400));
        let (weather, name) = match what {
            0..35 => (Weather::Cuts(2_000..300_000), "times of cuts"),
            // Within a handshake.
            35..45 => (Weather::Cuts(100..3_000), "times of cuts in handshakes"),
            45..60 => (Weather::Delays(0..30), "times of delays"),
            60..70 => (Weather::Silence, "times of silence"),
            70..80 => (Weather::Down, "times without a network"),
            _ => (Weather::Fair, "times of fair weather"),
        };
        ground.calls.count(Part::Mischief, name, 1);
        proxy.set(weather);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    proxy.set(Weather::Fair);
    callers.stop().await;
    crate::end(ground, pool).await;
    ground.calls.count(Part::Mischief, "connections", proxy.connections() as u64);
}
