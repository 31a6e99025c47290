//! Many runners at once: how fast they boot, and how many requests to AWS they cost.

use std::time::Duration;

use flame_aws::{Events, Pool, PoolBuilder, PoolEvent};
use flame_tests::emulator::{EcsApp, Function};
use futures_util::future::join_all;

use crate::baseline::Baseline;
use crate::functions::hold;
use crate::report::{Figure, Target};
use crate::sample::{Effort, Samples, now};
use crate::single_runner;

const RUNNERS: u32 = 100;
/// The number of concurrent cold invocations.
const INVOCATIONS: u32 = 50;
const ROUNDS: usize = 5;

/// The ECS requests of a runner's life, and their keys in the report.
const OPERATIONS: [(&str, &str); 3] = [
    ("RunTask", "run_task_per_runner"),
    ("DescribeTasks", "describe_tasks_per_runner"),
    ("StopTask", "stop_task_per_runner"),
];

/// A hundred tasks boot at once, are idle for the default of 30 s, and end by themselves.
pub(crate) async fn on_ecs(effort: Effort) -> Vec<Figure> {
    let (mut bare, mut boots) = (Samples::default(), Samples::default());
    let mut calls: [Samples; OPERATIONS.len()] = Default::default();
    let mut all = Samples::default();
    for _ in 0..effort.rounds(ROUNDS) {
        let (app, baseline) = (EcsApp::new().await, Baseline::listen().await);
        let started = baseline.tasks(&app, RUNNERS as usize).await;
        app.account.until_nothing_runs().await;
        bare.push(rate(RUNNERS, started));

        // The pool has its own account, so all counted requests are the pool's.
        let app = EcsApp::new().await;
        let pool =
            start(Pool::builder("fleet").backend(single_runner::ecs(&app).await), RUNNERS).await;
        let mut events = pool.events();
        boots.push(rate(RUNNERS, boot_all(&pool, &mut events, RUNNERS).await));
        count(&mut events, RUNNERS, |event| matches!(event, PoolEvent::Shrink { .. })).await;
        // All runners have said goodbye; `drain` returns when ECS reports all tasks as stopped.
        pool.drain().await;
        let counted = app.account.calls().await;
        let mut sum = 0.0;
        for ((operation, _), samples) in OPERATIONS.iter().zip(&mut calls) {
            let count = counted.get(*operation).copied().unwrap_or(0);
            let each = f64::from(u32::try_from(count).expect("few calls")) / f64::from(RUNNERS);
            samples.push(each);
            sum += each;
        }
        all.push(sum);
    }
    let rounds = boots.len();
    let mut figures = vec![
        Figure::new("boots_per_s", boots.median(), rounds)
            .beside("bare_starts_per_s", bare.median()),
        Figure::new("api_calls_per_runner", all.median(), rounds).target(Target::Below(4.0)),
    ];
    for ((_, key), samples) in OPERATIONS.iter().zip(&calls) {
        figures.push(Figure::new(*key, samples.median(), rounds));
    }
    figures
}

/// Fifty invocations at once, all in cold environments.
pub(crate) async fn on_lambda(effort: Effort) -> Vec<Figure> {
    let mut boots = Samples::default();
    for _ in 0..effort.rounds(ROUNDS) {
        let function = Function::of_runners().await;
        let pool = start(function.pool().await, INVOCATIONS).await;
        let mut events = pool.events();
        boots.push(rate(INVOCATIONS, boot_all(&pool, &mut events, INVOCATIONS).await));
        pool.drain().await;
        function.until_quiet().await;
        single_runner::delete(&function).await;
    }
    vec![Figure::new("lambda_boots_per_s", boots.median(), boots.len())]
}

async fn start(pool: PoolBuilder, runners: u32) -> Pool {
    // Long enough for a busy machine, and short enough for a function with a timeout of 60 s.
    let pool = pool.max(runners).max_concurrency(1).timeout(Duration::from_secs(45));
    pool.start().await.expect("a pool")
}

/// The time until each of `runners` concurrent calls has its own runner.
async fn boot_all(pool: &Pool, events: &mut Events, runners: u32) -> Duration {
    let start = now();
    let calls = join_all((0..runners).map(|_| pool.call(hold())));
    let up = count(events, runners, |event| {
        if let PoolEvent::GrowEnd { failure: Some(failure), .. } = event {
            panic!("a boot has failed: {failure}");
        }
        matches!(event, PoolEvent::GrowEnd { up: true, .. })
    });
    tokio::select! {
        () = up => start.elapsed(),
        results = calls => panic!("these calls should never return: {:?}", results.first()),
    }
}

/// Waits for `wanted` events of a kind.
async fn count(events: &mut Events, mut wanted: u32, mut is_kind: impl FnMut(&PoolEvent) -> bool) {
    while wanted > 0 {
        let event = events.next().await.expect("the pool lives").expect("no event is missed");
        wanted -= u32::from(is_kind(&event));
    }
}

fn rate(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}
