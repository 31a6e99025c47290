//! Calls per second with many callers, on one runner and on four.
//!
//! The parent is measured on a current-thread runtime and on a runtime with two workers. The better
//! result is the headline, and both are in the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flame_aws::Pool;

use crate::baseline::WsBaseline;
use crate::condition::Condition;
use crate::figures::Figures;
use crate::pools::{self, SMALL};
use crate::sample::{Effort, median, now};

const CALLERS: [usize; 4] = [1, 10, 100, 1_000];
const RUNNERS: [u32; 2] = [1, 4];
const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(150);
const SPAN: Duration = Duration::from_millis(700);

const FLAVOURS: [&str; 2] = ["_current_thread", "_multi_thread"];

pub(crate) async fn measure(condition: Condition, effort: Effort) -> Figures {
    let flavour = FLAVOURS[usize::from(condition.workers.is_some())];
    let message = pools::bytes(SMALL);
    let mut baseline = WsBaseline::start().await;
    let mut figures = Figures::default();
    for runners in RUNNERS {
        // Every caller finds a slot. The group `burst` measures the queue.
        let pool = pools::warm(runners, 1_000).await;
        for callers in CALLERS {
            let (mut baselines, mut calls) = (Vec::new(), Vec::new());
            for _ in 0..effort.rounds(ROUNDS) {
                baselines.push(baseline.pipeline(&message, callers, SPAN / 2).await);
                calls.push(rate(&pool, callers).await);
            }
            figures.set(format!("{}{flavour}", key(callers, runners)), median(&calls));
            if condition.workers.is_none() {
                figures.set(format!("ws_baseline_per_s_{callers}"), median(&baselines));
            }
        }
        pool.drain().await;
    }
    figures
}

/// Sets each headline to the better of the two runtimes' results.
pub(crate) fn headlines(figures: &mut Figures) {
    for runners in RUNNERS {
        for key in CALLERS.map(|callers| key(callers, runners)) {
            let measured = FLAVOURS.map(|flavour| figures.get(&format!("{key}{flavour}")));
            if let Some(best) = measured.into_iter().flatten().reduce(f64::max) {
                figures.set(key, best);
            }
        }
    }
}

fn key(callers: usize, runners: u32) -> String {
    match runners {
        1 => format!("calls_per_s_{callers}"),
        more => format!("calls_per_s_{callers}_runners_{more}"),
    }
}

/// Measures callers that call again as soon as they have the result.
async fn rate(pool: &Pool, callers: usize) -> f64 {
    let (done, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (pool, done, over) = (pool.clone(), done.clone(), over.clone());
            let payload = pools::payload(SMALL);
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    pools::call(&pool, &payload).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    let (start, before) = (now(), done.load(Ordering::Relaxed));
    tokio::time::sleep(SPAN).await;
    let (span, after) = (start.elapsed(), done.load(Ordering::Relaxed));
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("a caller");
    }
    let calls = u32::try_from(after - before).expect("fewer calls than 2^32");
    f64::from(calls) / span.as_secs_f64()
}
