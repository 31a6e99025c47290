//! A network between runners and their parent or relay that cuts, delays and stalls connections.

use std::collections::HashMap;
use std::time::Duration;

use flame_aws::{CallError, Pool, PoolBuilder};
use flame_tests::demo::gates::{self, Gate};
use flame_tests::process::{drains_cleanly, pids, until_gone};
use flame_tests::proxy::Network;
use flame_tests::{Test, Watcher, demo, pool_behind_proxy, process_pool, tests, until};
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_thousand_calls_over_cut_connections_run_once_each,
        large_values_over_cut_connections_cross_once_each,
        channels_and_streams_over_cut_connections_lose_nothing,
        a_single_use_runner_delivers_its_result_over_cut_connections,
        a_cut_during_the_handshakes_loses_no_call,
        delays_lose_no_call,
        a_silent_connection_is_closed_and_resumed,
        a_connection_that_is_not_resumed_in_time_is_a_lost_runner,
    ]
}

/// Tests with reconnect timeouts that are shorter than the 30 s after which a parent gives up a
/// control connection that is half open.
pub(crate) fn half_open() -> Vec<Test> {
    tests![a_half_open_connection_is_resumed]
}

const SEEDS: [u64; 3] = [1, 2, 3];
const MINUTE: Duration = Duration::from_secs(60);

/// Prints the seed if the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with seed {}", self.0);
        }
    }
}

/// Returns how often each key was tallied on all runners of the pool together.
async fn tallies(pool: &Pool) -> HashMap<u64, u64> {
    let mut tallies = HashMap::new();
    let mut answered = Vec::new();
    let runners = pids(pool);
    while answered.len() < runners.len() {
        // A gated call keeps each runner equally busy, so that every runner gets one of these
        // calls.
        let gates: Vec<_> = runners.iter().map(|_| Gate::new()).collect();
        let calls = gates.into_iter().map(async |(mut gate, begun, open)| {
            let call = tokio::spawn(pool.call(gates::gated(begun, open)));
            (gate.entered().await, gate, call)
        });
        let entered = join_all(calls).await;
        for (pid, tallied) in
            join_all(runners.iter().map(async |_| pool.call(demo::tallied_at()).await.unwrap()))
                .await
        {
            if !answered.contains(&pid) {
                answered.push(pid);
                for (key, count) in tallied {
                    *tallies.entry(key).or_default() += count;
                }
            }
        }
        for (_, gate, call) in entered {
            gate.open();
            call.await.unwrap().unwrap().unwrap();
        }
    }
    tallies
}

/// Checks that the pool still has these runners, and that each of `keys` keys was tallied once.
async fn all_have_run_once(pool: &Pool, keys: u64, runners: &[u32]) {
    assert_eq!(pids(pool), runners, "no runner was lost");
    let tallies = tallies(pool).await;
    assert_eq!(tallies.len() as u64, keys);
    assert!(tallies.values().all(|count| *count == 1), "{tallies:?}");
}

async fn a_thousand_calls_over_cut_connections_run_once_each() {
    for seed in SEEDS {
        let _seed = Seed(seed);
        let make =
            || process_pool("test").min(2).max(2).max_concurrency(500).reconnect_timeout(MINUTE);
        let (pool, proxy) = pool_behind_proxy(make, seed).await;
        pool.ready().await;
        let before = pids(&pool);
        // The link writes 64 KiB at a time, so most cuts are within a write, which is sent again.
        proxy.set(Network::Cuts(2_000..300_000));
        let calls = (0..1000u64).map(|key| {
            let blob = demo::bytes(1 + (key as usize * 7) % 2000);
            let call = pool.call(demo::tally(key, blob.clone()).timeout(MINUTE));
            async move {
                let (count, echo) = call.await.unwrap();
                assert_eq!(count, 1, "call {key} has run {count} times");
                assert!(echo == blob, "call {key} has the result of another call");
            }
        });
        join_all(calls).await;
        let cut = proxy.ended_connections();
        assert!(cut > 5, "too few connections were cut: {cut}");
        proxy.set(Network::Normal);
        all_have_run_once(&pool, 1000, &before).await;
        drains_cleanly(&pool, &before).await;
    }
}

async fn large_values_over_cut_connections_cross_once_each() {
    for seed in SEEDS {
        let _seed = Seed(seed);
        let make =
            || process_pool("test").min(1).max(1).max_concurrency(100).reconnect_timeout(MINUTE);
        let (pool, proxy) = pool_behind_proxy(make, seed).await;
        pool.ready().await;
        let before = pids(&pool);
        proxy.set(Network::Cuts(1_000_000..24_000_000));
        let blob = demo::bytes(64 << 20);
        let large = tokio::spawn(pool.call(demo::tally(0, blob.clone()).timeout(None)));
        let mut key = 0;
        while !large.is_finished() {
            key += 1;
            let (count, _) =
                pool.call(demo::tally(key, demo::bytes(64)).timeout(None)).await.unwrap();
            assert_eq!(count, 1);
        }
        let (count, echo) = large.await.unwrap().unwrap();
        assert_eq!(count, 1);
        assert!(echo == blob, "the blob has changed");
        let cut = proxy.ended_connections();
        assert!(cut > 3, "too few connections were cut: {cut}");
        proxy.set(Network::Normal);
        all_have_run_once(&pool, key + 1, &before).await;
        drains_cleanly(&pool, &before).await;
    }
}

async fn channels_and_streams_over_cut_connections_lose_nothing() {
    for seed in SEEDS {
        let _seed = Seed(seed);
        let make = || process_pool("test").min(1).max(1).timeout(MINUTE).reconnect_timeout(MINUTE);
        let (pool, proxy) = pool_behind_proxy(make, seed).await;
        pool.ready().await;
        proxy.set(Network::Cuts(2_000..300_000));
        let (numbers, rx) = flame_aws::channel(8);
        let (tx, mut out) = flame_aws::channel(8);
        let child = pool.place_child(demo::squares(rx, tx)).await.unwrap();
        let feed = async move {
            for n in 0..3000 {
                numbers.send(n).await.unwrap();
            }
        };
        let read = async {
            for n in 0..3000 {
                assert_eq!(out.recv().await.unwrap(), Some(n * n));
            }
            assert_eq!(out.recv().await.unwrap(), None);
        };
        let items = pool.stream(demo::count(20_000)).try_collect::<Vec<u32>>();
        let ((), (), items) = tokio::join!(feed, read, items);
        assert_eq!(items.unwrap(), (0..20_000).collect::<Vec<_>>());
        assert_eq!(child.join().await.unwrap().unwrap(), 3000);
        assert!(
            proxy.ended_connections() > 2,
            "too few connections were cut: {}",
            proxy.ended_connections()
        );
        drains_cleanly(&pool, &[]).await;
    }
}

async fn a_single_use_runner_delivers_its_result_over_cut_connections() {
    for seed in SEEDS {
        let _seed = Seed(seed);
        let make = || {
            process_pool("test").max(2).single_use(true).timeout(MINUTE).reconnect_timeout(MINUTE)
        };
        let (pool, proxy) = pool_behind_proxy(make, seed).await;
        // The handshakes need fewer bytes, so the cuts come after them.
        proxy.set(Network::Cuts(30_000..600_000));
        for n in 0..12 {
            let blob = demo::bytes(200_000 + n);
            let echo = pool.call(demo::echo(blob.clone())).await.unwrap();
            assert!(echo == blob, "call {n}");
        }
        drains_cleanly(&pool, &[]).await;
    }
}

async fn a_cut_during_the_handshakes_loses_no_call() {
    // The handshakes take about 1,500 bytes. The hello, its answer and the first packets follow.
    for bytes in (100..2_000).step_by(50) {
        let make = || process_pool("test").max(1).max_concurrency(1).reconnect_timeout(MINUTE);
        let (pool, proxy) = pool_behind_proxy(make, 0).await;
        proxy.set(Network::Cuts(bytes..bytes + 1));
        let call = tokio::spawn(pool.call(demo::double(4)));
        until("the connection is cut, or the call has finished", || {
            proxy.ended_connections() > 0 || call.is_finished()
        })
        .await;
        proxy.set(Network::Normal);
        assert_eq!(call.await.unwrap().unwrap(), 8, "after {bytes} bytes");
        drains_cleanly(&pool, &[]).await;
    }
}

async fn delays_lose_no_call() {
    let make = || process_pool("test").min(1).max(2).max_concurrency(50);
    let (pool, proxy) = pool_behind_proxy(make, 1).await;
    proxy.set(Network::Delays(0..30));
    let calls = pool.map((0..200).map(demo::double)).try_collect::<Vec<u32>>();
    let blob = demo::bytes(300_000);
    let (doubled, echo) = tokio::join!(calls, pool.call(demo::echo(blob.clone())));
    assert_eq!(doubled.unwrap(), (0..200).map(|n| 2 * n).collect::<Vec<_>>());
    assert!(echo.unwrap() == blob);
    drains_cleanly(&pool, &[]).await;
}

fn impatient(pool: PoolBuilder) -> PoolBuilder {
    pool.min(1).max(1).keepalive_timeout(Duration::from_secs(1))
}

async fn a_silent_connection_is_closed_and_resumed() {
    let make = || impatient(process_pool("test")).reconnect_timeout(MINUTE);
    let (pool, proxy) = pool_behind_proxy(make, 1).await;
    pool.ready().await;
    let before = pids(&pool);
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    gate.entered().await;
    let connections = proxy.connections();
    proxy.set(Network::Stalled);
    let during = tokio::spawn(pool.call(demo::tally(1, demo::bytes(100_000))));
    // The runner's next connection stalls as well.
    until("the runner connects again", || proxy.connections() > connections).await;
    proxy.set(Network::Normal);
    assert_eq!(during.await.unwrap().unwrap().0, 1);
    gate.open();
    assert_eq!(call.await.unwrap().unwrap().unwrap(), before[0]);
    assert_eq!(pids(&pool), before);
    drains_cleanly(&pool, &before).await;
}

async fn a_half_open_connection_is_resumed() {
    // The shortest reconnect timeout that this keepalive timeout allows, and the default.
    for reconnect_timeout in [Some(Duration::from_millis(1500)), None] {
        let make = || {
            let pool = impatient(process_pool("test"));
            reconnect_timeout.into_iter().fold(pool, PoolBuilder::reconnect_timeout)
        };
        let (pool, proxy) = pool_behind_proxy(make, 1).await;
        pool.ready().await;
        let before = pids(&pool);
        let (mut gate, begun, open) = Gate::new();
        let call = tokio::spawn(pool.call(gates::gated(begun, open)));
        gate.entered().await;
        proxy.set(Network::HalfOpen);
        let during = tokio::spawn(pool.call(demo::tally(7, demo::bytes(100_000))));
        assert_eq!(during.await.unwrap().unwrap().0, 1);
        gate.open();
        assert_eq!(call.await.unwrap().unwrap().unwrap(), before[0]);
        assert_eq!(pids(&pool), before, "no runner was lost");
        drains_cleanly(&pool, &before).await;
    }
}

async fn a_connection_that_is_not_resumed_in_time_is_a_lost_runner() {
    let make = || impatient(process_pool("test")).reconnect_timeout(Duration::from_millis(1500));
    let (pool, proxy) = pool_behind_proxy(make, 1).await;
    pool.ready().await;
    let before = pids(&pool);
    let mut watcher = Watcher::new(&pool);
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    gate.entered().await;
    proxy.set(Network::Down);
    let error = call.await.unwrap().unwrap_err();
    let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("not resumed in time"), "{reason}");
    assert_eq!(watcher.lost().await, 1);
    proxy.set(Network::Normal);
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    until_gone(&before).await;
    assert!(pool.stream(demo::count(3)).count().await == 3);
    drains_cleanly(&pool, &before).await;
}
