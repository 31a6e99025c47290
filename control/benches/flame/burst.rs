//! A thousand calls at once on a small pool: how far from ideal the last one ends.
//!
//! The ideal is for calls that take 10 ms. One that sleeps on tokio's timer takes 11 and more, so
//! the headline's calls sleep on a thread; the others are measured beside their own floor.

use std::time::Duration;

use flame_aws::{Pool, Work};
use futures_util::future::join_all;

use crate::figures::Figures;
use crate::functions::{block, nap};
use crate::pools;
use crate::sample::{Effort, Samples, now};

const CALLS: u32 = 1_000;
const CALL_MS: u64 = 10;
const RUNNERS: u32 = 4;
const SLOTS: u32 = 10;
/// 25 calls of 10 ms in each of 40 slots.
const IDEAL: Duration = Duration::from_millis(250);

const ROUNDS: usize = 15;

/// A call of 10 ms.
type Call = fn(u64) -> Work<'static, ()>;

pub(crate) async fn measure(effort: Effort) -> Figures {
    let mut figures = Figures::default();
    let threads = async || {
        tokio::task::spawn_blocking(in_threads).await.expect("threads that sleep");
    };
    bursts("", block, threads, effort, &mut figures).await;
    bursts("_tokio_sleep", nap, in_tasks, effort, &mut figures).await;
    figures
}

async fn bursts(
    suffix: &str,
    call: Call,
    without_us: impl AsyncFn(),
    effort: Effort,
    figures: &mut Figures,
) {
    let (mut floor, mut warm, mut cold) =
        (Samples::default(), Samples::default(), Samples::default());
    let warm_pool = pools::warm(RUNNERS, SLOTS).await;
    for round in 0..=effort.rounds(ROUNDS) {
        let bare = Samples::of(1, async || without_us().await).await;
        let warmed = Samples::of(1, async || burst(&warm_pool, call).await).await;

        let pool = pools::cold(RUNNERS, SLOTS).await;
        let start = now();
        burst(&pool, call).await;
        let took = start.elapsed();
        pool.drain().await;

        if round > 0 {
            floor.extend(&bare);
            warm.extend(&warmed);
            cold.push(took);
        }
    }
    warm_pool.drain().await;

    let over_ideal = |samples: &Samples| samples.p50().as_secs_f64() / IDEAL.as_secs_f64();
    figures.set(format!("burst_floor_over_ideal{suffix}"), over_ideal(&floor));
    figures.set(format!("burst_makespan_over_ideal_warm{suffix}"), over_ideal(&warm));
    figures.set(format!("burst_makespan_over_ideal_cold{suffix}"), over_ideal(&cold));
}

async fn burst(pool: &Pool, call: Call) {
    let calls = (0..CALLS).map(|_| pool.call(call(CALL_MS)));
    for result in join_all(calls).await {
        result.expect("a call");
    }
}

const CALLS_A_SLOT: u32 = CALLS / (RUNNERS * SLOTS);

/// The same sleeps in the same number of slots, here and without a pool.
async fn in_tasks() {
    let slot = |_| async {
        for _ in 0..CALLS_A_SLOT {
            tokio::time::sleep(Duration::from_millis(CALL_MS)).await;
        }
    };
    join_all((0..RUNNERS * SLOTS).map(slot)).await;
}

/// The same on threads.
fn in_threads() {
    std::thread::scope(|scope| {
        for _ in 0..RUNNERS * SLOTS {
            scope.spawn(|| {
                for _ in 0..CALLS_A_SLOT {
                    std::thread::sleep(Duration::from_millis(CALL_MS));
                }
            });
        }
    });
}
