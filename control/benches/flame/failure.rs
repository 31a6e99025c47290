//! Runners that are killed, or stopped, with a call under way.

use std::time::Duration;

use flame_aws::CallError;
use futures_util::future::{Either, join, select};
use rustix::process::{Pid, Signal, kill_process};

use crate::figures::Figures;
use crate::functions::{nap, process_id};
use crate::pools::{self, SMALL};
use crate::sample::{Effort, Samples, millis, now};

const KILLS: usize = 20;
const STOPS: usize = 5;
/// The timeout of a call to a stopped runner.
const DEADLINE: Duration = Duration::from_millis(300);

pub(crate) async fn measure(effort: Effort) -> Figures {
    let (kills, stops) = (killed(effort).await, stopped(effort).await);
    let mut figures = Figures::default();
    figures.set("kill9_to_error_ms", millis(kills.p50()));
    figures.set("kill9_to_error_max_ms", millis(kills.max()));
    figures.set("stopped_runner_lateness_ms", millis(stops.max()));
    figures
}

/// Measures the time from `kill -9` of one of two runners until its caller has the error. Checks
/// that the call on the other runner succeeds, and that the pool still serves calls.
async fn killed(effort: Effort) -> Samples {
    let pool = pools::warm(2, 1).await;
    let mut samples = Samples::default();
    for _ in 0..effort.rounds(KILLS) {
        // Each runner has one slot, so the two calls are on two runners.
        let (one, other) = join(pool.call(process_id(50)), pool.call(process_id(50))).await;
        let (one, other) = (one.expect("a call"), other.expect("a call"));
        assert_ne!(one, other, "both calls were on the same runner");

        let calls = select(Box::pin(pool.call(nap(300))), Box::pin(pool.call(nap(300))));
        let kill = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            send(Signal::KILL, one);
            now()
        };
        let (first, killed_at) = join(
            async {
                let first = calls.await;
                (first, now())
            },
            kill,
        )
        .await;
        let (Either::Left((lost, survivor)) | Either::Right((lost, survivor)), known_at) = first;
        assert!(matches!(lost, Err(CallError::RunnerLost { started: true, .. })), "{lost:?}");
        samples.push(known_at.duration_since(killed_at));
        survivor.await.expect("the call on the other runner");

        // The lost runner is replaced, and a call is served.
        pool.ready().await;
        pools::call(&pool, &pools::payload(SMALL)).await;
    }
    pool.drain().await;
    samples
}

/// Measures how long after its deadline a call to a stopped runner returns.
async fn stopped(effort: Effort) -> Samples {
    let pool = pools::warm(1, 10).await;
    let mut samples = Samples::default();
    for _ in 0..effort.rounds(STOPS) {
        let runner = pool.call(process_id(0)).await.expect("a call");
        send(Signal::STOP, runner);
        let start = now();
        let result = pool.call(nap(1).timeout(DEADLINE)).await;
        let took = start.elapsed();
        send(Signal::CONT, runner);
        assert!(matches!(result, Err(CallError::Timeout { .. })), "{result:?}");
        samples.push(took.saturating_sub(DEADLINE));
        // The continued runner serves calls again.
        pools::call(&pool, &pools::payload(SMALL)).await;
    }
    pool.drain().await;
    samples
}

fn send(signal: Signal, process: u32) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(process, signal).expect("a runner to send a signal to");
}
