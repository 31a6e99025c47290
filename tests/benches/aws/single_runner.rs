//! One runner: the first call on an empty pool, compared with a bare start of the same executable.
//!
//! Both are measured in each round. The first round reads the executable from disk and connects to
//! the emulator, and does not count.

use std::time::Duration;

use flame_aws::backend::Ecs;
use flame_aws::{Idle, Pool, PoolBuilder};
use flame_tests::emulator::{EcsApp, Function};

use crate::baseline::Baseline;
use crate::functions::process_id;
use crate::report::Figure;
use crate::sample::{Effort, Samples, now};

const ROUNDS: usize = 25;

pub(crate) async fn on_ecs(effort: Effort) -> Vec<Figure> {
    let (app, baseline) = (EcsApp::new().await, Baseline::listen().await);
    let (mut bare, mut first) = (Samples::default(), Samples::default());
    for round in 0..=effort.rounds(ROUNDS) {
        let started = baseline.tasks(&app, 1).await;
        let pool = start(Pool::builder("one").backend(ecs(&app).await)).await;
        let (called, _) = first_call(&pool).await;
        pool.drain().await;
        if round > 0 {
            bare.push_ms(started);
            first.push_ms(called);
        }
    }
    figures("ecs", &bare, &first)
}

pub(crate) async fn on_lambda(effort: Effort) -> Vec<Figure> {
    let baseline = Baseline::listen().await;
    let (mut bare, mut first) = (Samples::default(), Samples::default());
    for round in 0..=effort.rounds(ROUNDS) {
        // Each round has its own function, so that no environment is warm.
        let function = baseline.function().await;
        let invoked = baseline.invoke(&function).await;
        delete(&function).await;

        let function = Function::of_runners().await;
        let pool = start(function.pool().await).await;
        let (called, _) = first_call(&pool).await;
        pool.drain().await;
        delete(&function).await;
        if round > 0 {
            bare.push_ms(invoked);
            first.push_ms(called);
        }
    }
    figures("lambda", &bare, &first)
}

/// The first call of a new pool on a warm environment: a new session in an old process.
pub(crate) async fn on_warm_lambda(effort: Effort) -> Vec<Figure> {
    let baseline = Baseline::listen().await;
    let (bare, function) = (baseline.function().await, Function::of_runners().await);
    let (mut invokes, mut warm) = (Samples::default(), Samples::default());
    let mut environment = None;
    for round in 0..=effort.rounds(ROUNDS) {
        bare.until_quiet().await;
        let invoked = baseline.invoke(&bare).await;

        let pool = start(function.pool().await).await;
        let (called, process) = first_call(&pool).await;
        pool.drain().await;
        function.until_quiet().await;
        assert_eq!(*environment.get_or_insert(process), process, "the environment is reused");
        // The first round is cold.
        if round > 0 {
            invokes.push_ms(invoked);
            warm.push_ms(called);
        }
    }
    delete(&bare).await;
    delete(&function).await;
    vec![
        Figure::new("lambda_warm_boot_ms", warm.median(), warm.len())
            .beside("lambda_bare_warm_invoke_ms", invokes.median()),
    ]
}

/// A backend with the AWS defaults.
pub(crate) async fn ecs(app: &EcsApp) -> Ecs {
    Ecs::builder()
        .cluster(EcsApp::CLUSTER)
        .task_definition(EcsApp::FAMILY)
        .container(EcsApp::CONTAINER)
        .subnets([EcsApp::SUBNET])
        .sdk_config(app.account.sdk().await)
        .build()
}

async fn start(pool: PoolBuilder) -> Pool {
    let pool = pool.max(1).max_concurrency(1).idle_shutdown_after(Idle::Never);
    pool.start().await.expect("a pool")
}

/// The duration of a call, and the process that it ran in.
async fn first_call(pool: &Pool) -> (Duration, u32) {
    let start = now();
    let process = pool.call(process_id()).await.expect("a call");
    (start.elapsed(), process)
}

/// Deletes a function, so that no frozen environment remains.
pub(crate) async fn delete(function: &Function) {
    let request = function.client.delete_function().function_name(Function::NAME);
    request.send().await.expect("the function is deleted");
}

fn figures(host: &str, bare: &Samples, first: &Samples) -> Vec<Figure> {
    let (bare, ours, rounds) = (bare.median(), first.median(), first.len());
    vec![
        Figure::new(format!("{host}_first_call_ms"), ours, rounds)
            .beside(format!("{host}_bare_start_ms"), bare),
        Figure::new(format!("{host}_boot_overhead_ms"), ours - bare, rounds),
    ]
}
