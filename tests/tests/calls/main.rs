//! Calls of every kind, to child processes that are copies of this suite, which connect directly
//! and through a relay. Where the behaviour is the same, also on the local backend, and on a
//! stand-in for Fly, over IPv6. On request, the copies are containers of a Docker engine instead.

mod abandoned;
mod deadlines;
mod flow_control;
mod limits;
mod values;

use std::collections::HashMap;
use std::time::Duration;

use flame_aws::{CallError, TimeoutPhase, channel};
use flame_tests::demo::{self, Video};
use flame_tests::{
    PoolBackend, Test, direct_and_relayed, docker, on, pool, process_pool, suite, tests,
};
use futures_util::{StreamExt, TryStreamExt};
// A dependency with a remote function is in the table of this suite, as in an app. Its state is
// missing, and calls must work all the same.
use dependency as _;

fn main() -> std::process::ExitCode {
    let on_both = [
        on_both_backends(),
        deadlines::on_both_backends(),
        flow_control::on_both_backends(),
        abandoned::on_both_backends(),
        values::on_both_backends(),
    ]
    .concat();
    if docker::asked_for() {
        let in_containers = [on_both, in_another_process(), limits::on_one_backend()].concat();
        return suite(direct_and_relayed(&on(PoolBackend::Docker, &in_containers)));
    }
    // Of the stand-in for Fly, whose machines are processes of this machine.
    let in_machines = [on_both.clone(), in_another_process(), limits::on_one_backend()].concat();
    let in_machines = direct_and_relayed(&on(PoolBackend::Fly, &in_machines));
    let on_one = [
        in_another_process(),
        on_one_backend(),
        deadlines::on_one_backend(),
        flow_control::on_one_backend(),
        limits::on_one_backend(),
    ]
    .concat();
    let with_processes = [on(PoolBackend::Process, &on_both), on_one].concat();
    let tests = [
        direct_and_relayed(&with_processes),
        on(PoolBackend::Local, &on_both),
        in_machines,
        limits::run_once(),
    ];
    suite(tests.concat())
}

fn on_both_backends() -> Vec<Test> {
    tests![
        arguments_and_results_cross_unchanged,
        the_functions_own_error_arrives_unchanged,
        an_error_without_serde_crosses_with_its_chain,
        state_is_that_of_the_process_that_runs_the_function,
        a_panic_is_an_error_and_the_runner_goes_on,
        stream_items_arrive_in_order,
        a_stream_that_panics_ends_with_the_error,
        map_keeps_the_order,
        a_child_is_fed_by_channels,
        a_stopped_child_frees_its_slot,
        a_cast_returns_when_accepted,
        a_call_past_its_deadline_says_in_which_phase_it_was,
        a_dropped_call_is_cancelled_on_the_runner,
        large_values_cross,
    ]
}

/// Tests whose runners must be processes of their own, on any machine.
fn in_another_process() -> Vec<Test> {
    tests![a_function_runs_in_another_process, pools_nest, a_block_runs_on_the_runner]
}

/// Tests that look at processes of this machine.
fn on_one_backend() -> Vec<Test> {
    tests![a_held_value_stays_on_its_runner, a_drained_pool_leaves_no_process]
}

async fn a_function_runs_in_another_process() {
    let pool = pool("test").start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    let there = pool.call(demo::pid()).await.unwrap();
    assert_ne!(there, std::process::id());
    assert_eq!(demo::pid().await, std::process::id());
    pool.drain().await;
}

async fn arguments_and_results_cross_unchanged() {
    let pool = pool("test").start().await.unwrap();
    let video = Video {
        name: "cat".to_owned(),
        title: None,
        tags: HashMap::from([("a".to_owned(), serde_json::json!({ "b": [1, null, "c"] }))]),
    };
    let there = pool.call(demo::retitle(video.clone(), Some("Cat".to_owned()))).await.unwrap();
    let here = demo::retitle(video.clone(), Some("Cat".to_owned())).await;
    assert_eq!(there, here);
    let words = ["a".to_owned(), "b".to_owned()];
    assert_eq!(pool.call(demo::join(&words, "-")).await.unwrap(), "a-b");
}

async fn the_functions_own_error_arrives_unchanged() {
    let pool = pool("test").start().await.unwrap();
    let video = Video { name: String::new(), title: None, tags: HashMap::new() };
    let error = pool.try_call(demo::retitle(video, None)).await.unwrap_err();
    assert_eq!(error, demo::DemoError::NoVideo("without a name".to_owned()));
}

async fn an_error_without_serde_crosses_with_its_chain() {
    let pool = pool("test").start().await.unwrap();
    assert_eq!(pool.try_call(demo::parse(" 7")).await.unwrap(), 7);
    let error = pool.try_call(demo::parse("x")).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "\"x\" is not a number: invalid digit found in string");
}

async fn state_is_that_of_the_process_that_runs_the_function() {
    let pool = pool("test").start().await.unwrap();
    assert_eq!(pool.call(demo::ask("who?")).await.unwrap(), "who? demo");
    assert_eq!(demo::ask("who?").await, "who? demo");
}

async fn a_panic_is_an_error_and_the_runner_goes_on() {
    let pool = pool("test").max(1).start().await.unwrap();
    let before = pool.call(demo::pid()).await.unwrap();
    let Err(CallError::Panicked { message, location, backtrace }) =
        pool.call(demo::panics("at the disco")).await
    else {
        panic!("a panic has to be an error")
    };
    assert_eq!(message, "at the disco");
    assert!(location.unwrap().contains("demo.rs"));
    assert!(backtrace.is_some());
    let Err(CallError::Panicked { message, location, .. }) =
        pool.call(demo::panics_plainly()).await
    else {
        panic!("a panic of a plain function has to be an error")
    };
    assert_eq!(message, "plainly");
    assert!(location.is_some());
    assert_eq!(pool.call(demo::pid()).await.unwrap(), before);
}

async fn stream_items_arrive_in_order() {
    let pool = pool("test").start().await.unwrap();
    let items: Vec<u32> = pool.stream(demo::count(1000)).try_collect().await.unwrap();
    assert_eq!(items, (0..1000).collect::<Vec<_>>());
    // A slow reader makes the runner produce few items.
    let mut endless = pool.stream(demo::endless());
    for n in 0..10 {
        assert_eq!(endless.next().await.unwrap().unwrap(), n);
    }
    drop(endless);
    let made = pool.stream(demo::endless()).next().await.unwrap().unwrap();
    assert!(made < 100_000, "back-pressure did not limit the stream: {made} items");
}

async fn a_stream_that_panics_ends_with_the_error() {
    let pool = pool("test").start().await.unwrap();
    let items: Vec<_> = pool.stream(demo::breaks_at(3)).collect().await;
    assert_eq!(items.len(), 4);
    assert!(
        matches!(&items[3], Err(CallError::Panicked { message, .. }) if message == "broke at 3")
    );
}

async fn map_keeps_the_order() {
    let pool = pool("test").start().await.unwrap();
    let doubled: Vec<u32> = pool.map((0..200).map(demo::double)).try_collect().await.unwrap();
    assert_eq!(doubled, (0..200).map(|n| 2 * n).collect::<Vec<_>>());
}

async fn a_child_is_fed_by_channels() {
    let pool = pool("test").start().await.unwrap();
    let (numbers, rx) = channel(8);
    let (tx, mut out) = channel(8);
    let child = pool.place_child(demo::squares(rx, tx)).await.unwrap();
    for n in 0..100 {
        numbers.send(n).await.unwrap();
        assert_eq!(out.recv().await.unwrap(), Some(n * n));
    }
    drop(numbers);
    assert_eq!(child.join().await.unwrap().unwrap(), 100);
    assert_eq!(out.recv().await.unwrap(), None);
}

async fn a_stopped_child_frees_its_slot() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let child = pool.place_child(demo::forever()).await.unwrap();
    let full = pool.call(demo::double(1).timeout(Duration::from_millis(50))).await;
    assert!(matches!(full, Err(CallError::Timeout { phase: TimeoutPhase::Queue, .. })), "{full:?}");
    child.stop();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
}

async fn a_held_value_stays_on_its_runner() {
    let pool = process_pool("test").max_concurrency(1).start().await.unwrap();
    let counter = pool.call(demo::counter(5)).await.unwrap();
    assert!(counter.get().is_err(), "the value is on its runner");
    let (first, pid) = pool.at(&counter).try_call(demo::next(counter.clone())).await.unwrap();
    let (second, same) = pool.at(&counter).try_call(demo::next(counter.clone())).await.unwrap();
    assert_eq!((first, second), (5, 6));
    assert_eq!(pid, same);
    // The value keeps its slot, so another call needs another runner.
    assert_ne!(pool.call(demo::pid()).await.unwrap(), pid);
    assert_eq!(pool.snapshot().leased, 1);
    drop(counter);
    flame_tests::until("the slot is free", || pool.snapshot().leased == 0).await;
}

async fn a_cast_returns_when_accepted() {
    let pool = pool("test").max(1).start().await.unwrap();
    let (tx, mut out) = channel(1);
    let (numbers, rx) = channel(1);
    pool.cast(demo::squares(rx, tx)).await.unwrap();
    numbers.send(3).await.unwrap();
    assert_eq!(out.recv().await.unwrap(), Some(9));
    // A cast that panics affects no other call.
    pool.cast(demo::panics("in a cast")).await.unwrap();
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
}

async fn a_call_past_its_deadline_says_in_which_phase_it_was() {
    let pool = pool("test").start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let late = pool.call(demo::forever().timeout(Duration::from_millis(50))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Run, after, .. }) = late else {
        panic!("{late:?}")
    };
    assert_eq!(after, Duration::from_millis(50));
    let past = pool.call(demo::double(1).timeout(Duration::ZERO)).await;
    assert!(matches!(past, Err(CallError::Timeout { .. })));
}

async fn a_dropped_call_is_cancelled_on_the_runner() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    let call = pool.call(demo::forever().timeout(None));
    let gone = tokio::time::timeout(Duration::from_millis(300), call).await;
    assert!(gone.is_err());
    assert_eq!(pool.call(demo::double(4)).await.unwrap(), 8, "the slot is free again");
}

async fn pools_nest() {
    let pool = pool("test").max(1).start().await.unwrap();
    let pids = pool.call(demo::nested(2).timeout(Duration::from_secs(60))).await.unwrap().unwrap();
    assert_eq!(pids.len(), 3, "each level is a process of its own: {pids:?}");
    let shallow = crate::pool("test").max_depth(2).max(1).start().await.unwrap();
    let deep = shallow.call(demo::nested(2).timeout(Duration::from_secs(60))).await.unwrap();
    assert!(deep.is_ok(), "within the limit");
}

async fn large_values_cross() {
    let pool = pool("test").max_message(4 << 20).start().await.unwrap();
    let blob = demo::bytes(3 << 20);
    assert_eq!(pool.call(demo::echo(blob.clone())).await.unwrap(), blob);
    let error = pool.call(demo::echo(demo::bytes(5 << 20))).await.unwrap_err();
    let CallError::TooLarge { size, limit, started } = error else { panic!("{error}") };
    assert!(!started, "the arguments were too large");
    assert!(size > 5 << 20);
    assert_eq!(limit, 4 << 20);
    let error = pool.call(demo::large_with_pid(5 << 20)).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge { started: true, .. }), "{error:?}");
    assert!(error.may_have_run(), "the result was too large");
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
}

async fn a_block_runs_on_the_runner() {
    let pool = pool("test").start().await.unwrap();
    let (a, b) = (3u32, "x".to_owned());
    let there = flame_aws::call!(pool, async |a: u32, b: String| -> (u32, String, u32) {
        (a, b, std::process::id())
    });
    let (a, b, pid) = there.await.unwrap();
    assert_eq!((a, b.as_str()), (3, "x"));
    assert_ne!(pid, std::process::id());
}

async fn a_drained_pool_leaves_no_process() {
    let pool = process_pool("test").min(2).start().await.unwrap();
    pool.ready().await;
    let pids: Vec<_> = pool.snapshot().runners.iter().filter_map(|r| r.pid).collect();
    assert_eq!(pids.len(), 2);
    pool.drain().await;
    for pid in pids {
        let proc = std::path::PathBuf::from(format!("/proc/{pid}"));
        assert!(!proc.exists(), "process {pid} still exists");
    }
    assert!(matches!(pool.call(demo::double(1)).await, Err(CallError::Draining)));
}
