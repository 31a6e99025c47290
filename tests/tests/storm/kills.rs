//! Runners that die and stop, whatever they do.

use std::sync::Arc;
use std::time::Duration;

use flame_tests::process;
use rand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::callers::{Callers, Hardship};
use crate::ground::Ground;
use crate::report::Part;

pub(crate) async fn rage(ground: &Arc<Ground>, time: Duration) {
    let pool = ground.pool().min(1).max(4);
    // One that is stopped and not woken is given up in some seconds.
    let pool =
        pool.keepalive_timeout(Duration::from_secs(1)).reconnect_timeout(Duration::from_secs(2));
    let pool = pool.shutdown_timeout(Duration::from_secs(2));
    // Those that die in their boot are failed boots.
    let pool = pool.boot_backoff(Duration::from_millis(10), Duration::from_millis(100));
    let pool = pool.boot_breaker(8, Duration::from_millis(100)).start().await;
    let pool = pool.expect("the pool starts");
    let callers = Callers::start(ground, &pool, Hardship::Losses);

    let mut random = ground.random("signals");
    let mut woken = JoinSet::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(random.random_range(5..150))).await;
        let (which, what, sleep) =
            (random.random::<u32>(), random.random_range(0..100), random.random_range(1..1500));
        // Those that boot among them.
        let runners = process::children(std::process::id());
        let Some(&runner) = runners.get(which as usize % runners.len().max(1)) else { continue };
        let did = match what {
            0..50 => send(runner, Signal::KILL).then_some("SIGKILL"),
            50..80 => send(runner, Signal::STOP).then(|| {
                woken.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(sleep)).await;
                    send(runner, Signal::CONT);
                });
                "SIGSTOP and SIGCONT"
            }),
            80..88 => send(runner, Signal::STOP).then_some("SIGSTOP alone"),
            _ => send(runner, Signal::TERM).then_some("SIGTERM"),
        };
        if let Some(did) = did {
            ground.calls.count(Part::Mischief, did, 1);
        }
    }
    woken.join_all().await;
    callers.stop().await;
    crate::end(ground, pool).await;
}

/// Whether it was there to get it.
fn send(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}
