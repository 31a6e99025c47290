//! The processor time of a warm call on each side, beside that of a WebSocket message.

use std::time::Duration;

use flame_aws::Pool;

use crate::condition::Condition;
use crate::figures::Figures;
use crate::floor::WsFloor;
use crate::functions::cpu_used_ns;
use crate::pools::{self, SMALL};
use crate::sample::{Effort, median, micros};

const ROUNDS: usize = 10;
const CALLS_A_ROUND: u32 = 4_000;

/// Returns the processor time that all threads of this process have used so far.
pub(crate) fn used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("processor time is not negative");
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

pub(crate) async fn measure(condition: Condition, effort: Effort) -> Figures {
    let pool = pools::warm(1, 1).await;
    let mut floor = WsFloor::start().await;
    let (message, payload) = (pools::bytes(SMALL), pools::payload(SMALL));

    let (mut floors, mut parents, mut runners) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=effort.rounds(ROUNDS) {
        let before = (used(), floor.process_cpu());
        for _ in 0..CALLS_A_ROUND {
            floor.echo(&message).await;
        }
        let after = (used(), floor.process_cpu());
        let both = |(here, there): (Duration, Option<Duration>)| Some(here + there?);

        let before_calls = (used(), runner_used(&pool).await);
        for _ in 0..CALLS_A_ROUND {
            pools::call(&pool, &payload).await;
        }
        let after_calls = (used(), runner_used(&pool).await);

        if round > 0 {
            let each = |before, after| micros((after - before) / CALLS_A_ROUND);
            floors.extend(both(before).zip(both(after)).map(|(before, after)| each(before, after)));
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
    if !floors.is_empty() {
        figures.set(format!("ws_floor_cpu_us{suffix}"), median(&floors));
    }
    figures
}

/// Asks the runner for its processor time. That costs one call in thousands.
async fn runner_used(pool: &Pool) -> Duration {
    Duration::from_nanos(pool.call(cpu_used_ns()).await.expect("a call"))
}
