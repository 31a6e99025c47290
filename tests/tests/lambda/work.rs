//! Each kind of work that a pool accepts, on invocations.

use std::collections::BTreeSet;

use flame_aws::channel;
use flame_tests::demo::{
    commands,
    gates::{self, Gate},
};
use flame_tests::emulator::Function;
use flame_tests::{Test, demo, emulated, tests};
use futures_util::TryStreamExt;

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![
        calls_streams_and_maps_run_in_an_invocation,
        children_and_casts_with_channels_run_in_an_invocation,
        large_values_are_not_subject_to_lambdas_limits,
    ];
    let here = tests![
        a_runner_is_one_invocation_and_leaves_a_warm_environment,
        a_held_value_stays_in_its_invocation,
        fifty_invocations_run_at_the_same_time,
        an_event_boots_a_runner_as_a_request_does,
        a_runner_in_an_invocation_boots_children_of_its_own,
        a_command_that_a_function_starts_is_not_a_runner,
    ];
    [anywhere, emulated(here)].concat()
}

async fn calls_streams_and_maps_run_in_an_invocation() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    assert_ne!(pool.call(demo::pid()).await.unwrap(), std::process::id());
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    assert_eq!(pool.call(demo::ask("who?")).await.unwrap(), "who? demo");
    let items: Vec<u32> = pool.stream(demo::count(1000)).try_collect().await.unwrap();
    assert_eq!(items, (0..1000).collect::<Vec<_>>());
    let doubled: Vec<u32> = pool.map((0..200).map(demo::double)).try_collect().await.unwrap();
    assert_eq!(doubled, (0..200).map(|n| 2 * n).collect::<Vec<_>>());
    pool.drain().await;
}

async fn a_runner_is_one_invocation_and_leaves_a_warm_environment() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    assert_eq!(function.account.running().await, [pid]);
    let doubled: Vec<u32> = pool.map((0..200).map(demo::double)).try_collect().await.unwrap();
    assert_eq!(doubled.len(), 200);
    pool.drain().await;
    assert_eq!(function.until_quiet().await, [pid], "the environment is frozen and warm");
    assert_eq!(function.account.count("Invoke").await, 1);
}

async fn children_and_casts_with_channels_run_in_an_invocation() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    let (numbers, rx) = channel(8);
    let (tx, mut out) = channel(8);
    let child = pool.place_child(demo::squares(rx, tx)).await.unwrap();
    for n in 0..20 {
        numbers.send(n).await.unwrap();
        assert_eq!(out.recv().await.unwrap(), Some(n * n));
    }
    drop(numbers);
    assert_eq!(child.join().await.unwrap().unwrap(), 20);
    let (tx, mut out) = channel(1);
    let (numbers, rx) = channel(1);
    pool.cast(demo::squares(rx, tx)).await.unwrap();
    numbers.send(3).await.unwrap();
    assert_eq!(out.recv().await.unwrap(), Some(9));
    drop(numbers);
    pool.drain().await;
}

async fn a_held_value_stays_in_its_invocation() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max_concurrency(1).start().await.unwrap();
    let counter = pool.call(demo::counter(5)).await.unwrap();
    let (first, pid) = pool.at(&counter).try_call(demo::next(counter.clone())).await.unwrap();
    let (second, same) = pool.at(&counter).try_call(demo::next(counter.clone())).await.unwrap();
    assert_eq!((first, second, pid), (5, 6, same));
    assert_ne!(
        pool.call(demo::pid()).await.unwrap(),
        pid,
        "the held value takes its runner's slot"
    );
    drop(counter);
    pool.drain().await;
    assert_eq!(function.until_quiet().await.len(), 2);
}

async fn large_values_are_not_subject_to_lambdas_limits() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    // Lambda limits events and responses to 6 MB.
    let blob = demo::bytes(16 << 20);
    assert_eq!(pool.call(demo::echo(blob.clone())).await.unwrap(), blob);
    pool.drain().await;
}

async fn fifty_invocations_run_at_the_same_time() {
    const FIFTY: usize = 50;
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(FIFTY as u32).max_concurrency(1).start().await.unwrap();
    let mut calls = Vec::new();
    let mut gates = Vec::new();
    for _ in 0..FIFTY {
        let (gate, begun, open) = Gate::new();
        calls.push(tokio::spawn(pool.call(gates::gated(begun, open))));
        gates.push(gate);
    }
    let mut pids = BTreeSet::new();
    for gate in &mut gates {
        pids.insert(gate.entered().await);
    }
    assert_eq!(pids.len(), FIFTY, "each call has its own invocation");
    gates.into_iter().for_each(Gate::open);
    for call in calls {
        call.await.unwrap().unwrap().unwrap();
    }
    pool.drain().await;
    assert_eq!(function.until_quiet().await.len(), FIFTY);
    assert_eq!(function.account.count("Invoke").await, FIFTY as u64);
}

async fn an_event_boots_a_runner_as_a_request_does() {
    let function = Function::of_runners().await;
    let backend = function.backend().await.invocation(flame_aws::backend::InvocationType::Event);
    let pool = function.pool_of(backend).max(1).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    assert_eq!(function.account.running().await, [pid]);
    // Only the runner's goodbye reports that it has shut down.
    pool.drain().await;
    assert_eq!(function.until_quiet().await, [pid]);
}

async fn a_runner_in_an_invocation_boots_children_of_its_own() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    let pids = pool.call(demo::nested(1)).await.unwrap().unwrap();
    // The child has FLAME_PARENT, but not its parent's FLAME_RUNNER.
    assert_eq!(pids.len(), 2);
    assert_eq!(function.account.running().await, [pids[1]]);
    pool.drain().await;
    function.until_quiet().await;
}

async fn a_command_that_a_function_starts_is_not_a_runner() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    // If the command were a runner, it would request events from Lambda and take events meant for
    // the process that started it.
    let printed =
        pool.call(commands::starts_a_command("command_without_a_pool")).await.unwrap().unwrap();
    assert_eq!(printed, "a runner: false\n");
    let names = pool.call(commands::inherited_variables()).await.unwrap().unwrap();
    assert!(!names.contains(&"FLAME_RUNNER".to_owned()), "{names:?}");
    pool.drain().await;
    function.until_quiet().await;
}
