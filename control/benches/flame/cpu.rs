//! The processor time of a warm call on each side, beside that of a WebSocket message.

use std::time::Duration;

use flame_aws::Pool;

use crate::baseline::WsBaseline;
use crate::condition::Condition;
use crate::figures::Figures;
use crate::functions::cpu_used_ns;
use crate::pools::{self, SMALL};
use crate::process::cpu_time;
use crate::sample::{Effort, median, micros};

const ROUNDS: usize = 10;
const CALLS_A_ROUND: u32 = 4_000;

pub(crate) async fn measure(condition: Condition, effort: Effort) -> Figures {
    let pool = pools::warm(1, 1).await;
    let mut baseline = WsBaseline::start().await;
    let (message, payload) = (pools::bytes(SMALL), pools::payload(SMALL));

    let (mut baselines, mut parents, mut runners) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=effort.rounds(ROUNDS) {
        let before = (cpu_time(), baseline.process_cpu());
        for _ in 0..CALLS_A_ROUND {
            baseline.echo(&message).await;
        }
        let after = (cpu_time(), baseline.process_cpu());
        let both = |(here, there): (Duration, Option<Duration>)| Some(here + there?);

        let before_calls = (cpu_time(), runner_cpu_time(&pool).await);
        for _ in 0..CALLS_A_ROUND {
            pools::call(&pool, &payload).await;
        }
        let after_calls = (cpu_time(), runner_cpu_time(&pool).await);

        if round > 0 {
            let each = |before, after| micros((after - before) / CALLS_A_ROUND);
            baselines
                .extend(both(before).zip(both(after)).map(|(before, after)| each(before, after)));
            parents.push(each(before_calls.0, after_calls.0));
            runners.push(each(before_calls.1, after_calls.1));
        }
    }
    pool.drain().await;

    let (parent, runner) = (median(&parents), median(&runners));
    let mut figures = Figures::default();
    let suffix = condition.suffix();
    figures.set(format!("warm_call_cpu_us_parent{suffix}"), parent);
    figures.set(format!("warm_call_cpu_us_runner{suffix}"), runner);
    figures.set(format!("warm_call_cpu_us{suffix}"), parent + runner);
    if !baselines.is_empty() {
        figures.set(format!("ws_baseline_cpu_us{suffix}"), median(&baselines));
    }
    figures
}

/// Asks the runner for its processor time. That costs one call in thousands.
async fn runner_cpu_time(pool: &Pool) -> Duration {
    Duration::from_nanos(pool.call(cpu_used_ns()).await.expect("a call"))
}
