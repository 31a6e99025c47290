//! A thousand calls at once on a small pool: the time of all of them, over the ideal time.
//!
//! The ideal assumes calls of exactly 10 ms. A call that sleeps on tokio's timer takes 11 ms or
//! more, so the calls of the headline figure sleep on a thread. Calls that sleep on tokio's timer
//! are measured beside a separate baseline.

use std::time::Duration;

use flame_aws::{Pool, Work};
use futures_util::future::join_all;

use crate::figures::Figures;
use crate::functions::{block, nap};
use crate::pools;
use crate::sample::{Effort, Samples, now, samples};

const CALLS: u32 = 1_000;
const CALL_MS: u64 = 10;
const RUNNERS: u32 = 4;
const SLOTS: u32 = 10;
/// 25 calls of 10 ms on each of 40 slots.
const IDEAL: Duration = Duration::from_millis(250);

const ROUNDS: usize = 15;

/// How a call takes its 10 ms.
#[derive(Clone, Copy)]
enum Sleep {
    OnAThread,
    OnTokiosTimer,
}

impl Sleep {
    fn call(self) -> Work<'static, ()> {
        match self {
            Self::OnAThread => block(CALL_MS),
            Self::OnTokiosTimer => nap(CALL_MS),
        }
    }

    /// The baseline: the same sleeps in the same number of slots, without a pool.
    async fn baseline(self) {
        match self {
            Self::OnAThread => {
                tokio::task::spawn_blocking(in_threads).await.expect("threads that sleep");
            }
            Self::OnTokiosTimer => in_tasks().await,
        }
    }

    /// The suffix of the keys of its figures.
    fn suffix(self) -> &'static str {
        match self {
            Self::OnAThread => "",
            Self::OnTokiosTimer => "_tokio_sleep",
        }
    }
}

pub(crate) async fn measure(effort: Effort) -> Figures {
    let mut figures = Figures::default();
    for sleep in [Sleep::OnAThread, Sleep::OnTokiosTimer] {
        bursts(sleep, effort, &mut figures).await;
    }
    figures
}

async fn bursts(sleep: Sleep, effort: Effort, figures: &mut Figures) {
    let (mut baseline, mut warm, mut cold) =
        (Samples::default(), Samples::default(), Samples::default());
    let warm_pool = pools::warm(RUNNERS, SLOTS).await;
    for round in 0..=effort.rounds(ROUNDS) {
        let bare = samples!(1, sleep.baseline().await);
        let warmed = samples!(1, burst(&warm_pool, sleep).await);

        let pool = pools::cold(RUNNERS, SLOTS).await;
        let start = now();
        burst(&pool, sleep).await;
        let took = start.elapsed();
        pool.drain().await;

        if round > 0 {
            baseline.extend(&bare);
            warm.extend(&warmed);
            cold.push(took);
        }
    }
    warm_pool.drain().await;

    let suffix = sleep.suffix();
    let over_ideal = |samples: &Samples| samples.p50().as_secs_f64() / IDEAL.as_secs_f64();
    figures.set(format!("burst_baseline_over_ideal{suffix}"), over_ideal(&baseline));
    figures.set(format!("burst_makespan_over_ideal_warm{suffix}"), over_ideal(&warm));
    figures.set(format!("burst_makespan_over_ideal_cold{suffix}"), over_ideal(&cold));
}

async fn burst(pool: &Pool, sleep: Sleep) {
    let calls = (0..CALLS).map(|_| pool.call(sleep.call()));
    for result in join_all(calls).await {
        result.expect("a call");
    }
}

const CALLS_A_SLOT: u32 = CALLS / (RUNNERS * SLOTS);

async fn in_tasks() {
    let slot = |_| async {
        for _ in 0..CALLS_A_SLOT {
            tokio::time::sleep(Duration::from_millis(CALL_MS)).await;
        }
    };
    join_all((0..RUNNERS * SLOTS).map(slot)).await;
}

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
