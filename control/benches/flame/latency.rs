//! Warm calls of 64 bytes, one at a time, beside WebSocket messages there and back.

use crate::baseline::WsBaseline;
use crate::condition::Condition;
use crate::figures::Figures;
use crate::pools::{self, SMALL};
use crate::sample::{Effort, Rounds, micros, samples};

const ROUNDS: usize = 25;
/// Enough for a median, and few enough that both sides are measured on an equally busy machine.
const CALLS_A_ROUND: usize = 1_000;

pub(crate) async fn measure(condition: Condition, effort: Effort) -> Figures {
    let pool = pools::warm(1, 1).await;
    let mut baseline = WsBaseline::start().await;
    let (message, payload) = (pools::bytes(SMALL), pools::payload(SMALL));

    let (mut baselines, mut calls) = (Rounds::default(), Rounds::default());
    for round in 0..=effort.rounds(ROUNDS) {
        let one = samples!(CALLS_A_ROUND, baseline.echo(&message).await);
        let other = samples!(CALLS_A_ROUND, pools::call(&pool, &payload).await);
        // The first round warms up.
        if round > 0 {
            baselines.push(&one);
            calls.push(&other);
        }
    }
    pool.drain().await;

    let suffix = condition.suffix();
    let (baseline, call) = (micros(baselines.p50()), micros(calls.p50()));
    let mut figures = Figures::default();
    figures.set(format!("ws_baseline_p50_us{suffix}"), baseline);
    figures.set(format!("ws_baseline_p99_us{suffix}"), micros(baselines.p99()));
    figures.set(format!("warm_call_p50_us{suffix}"), call);
    figures.set(format!("warm_call_p99_us{suffix}"), micros(calls.p99()));
    figures.set(format!("warm_call_over_ws_baseline{suffix}"), call / baseline);
    figures
}
