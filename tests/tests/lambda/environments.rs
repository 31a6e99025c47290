//! Execution environments: one process for one runner after another, frozen in between.

use std::time::Duration;

use flame_aws::{CallError, PoolEvent, ShrinkReason};
use flame_tests::demo::{
    gates::{self, Gate},
    misbehaving,
};
use flame_tests::emulator::Function;
use flame_tests::process::{connected_to, is_gone, listens_on, signal, until_gone};
use flame_tests::program::Program;
use flame_tests::{Test, Watcher, demo, emulated, tests};
use rustix::process::Signal;
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![a_runner_drains_before_its_timeout_and_no_call_is_lost];
    let here = tests![
        an_idle_runners_invocation_ends_and_its_environment_is_reused,
        an_environment_keeps_no_connection_to_its_last_runners_parent,
        the_log_of_a_second_runner_reaches_its_own_parent,
        a_plain_function_that_still_runs_ends_its_environment,
        a_killed_parents_invocations_end_after_the_reconnect_timeout,
        a_runner_whose_parent_is_killed_during_the_boot_ends_by_itself,
        sigterm_lets_a_runner_finish_and_ends_its_environment,
        an_event_from_elsewhere_is_an_error_and_the_environment_lives_on,
    ];
    [anywhere, emulated(here)].concat()
}

async fn an_idle_runners_invocation_ends_and_its_environment_is_reused() {
    let function = Function::of_runners().await;
    let idle = Duration::from_millis(300);
    let pool = function.pool().await.max(1).idle_shutdown_after(idle).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (count, _) = pool.call(demo::tally(7, demo::bytes(1))).await.unwrap();
    assert_eq!(count, 1);
    let first = pool.call(demo::pid()).await.unwrap();
    let held = pool.call(demo::counter(5)).await.unwrap();
    drop(held);
    let reason = watcher.next(|event| match event {
        PoolEvent::Shrink { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason.await, ShrinkReason::Idle);
    assert_eq!(function.until_quiet().await, [first], "the environment is frozen");
    // A new runner of the same pool runs in the same process, so the app's own values are still
    // there.
    let (count, _) = pool.call(demo::tally(7, demo::bytes(1))).await.unwrap();
    assert_eq!(count, 2, "a static of the app");
    assert_eq!(pool.call(demo::ask("who?")).await.unwrap(), "who? demo");
    let (call, depth, _) = pool.call(demo::context()).await.unwrap().unwrap();
    assert!(call < 20 && depth == 0, "calls are numbered from the start: {call} at {depth}");
    pool.drain().await;
    // Another parent, the same environment.
    let other = function.pool().await.max(1).start().await.unwrap();
    assert_eq!(other.call(demo::pid()).await.unwrap(), first);
    other.drain().await;
    assert_eq!(function.until_quiet().await, [first]);
    assert_eq!(function.account.count("Invoke").await, 3);
}

async fn an_environment_keeps_no_connection_to_its_last_runners_parent() {
    let function = Function::of_runners().await;
    let idle = Duration::from_millis(100);
    let pool = function.pool().await.max(1).idle_shutdown_after(idle).start().await.unwrap();
    // Lambda may thaw the environment within milliseconds, and a connection that is left would
    // interfere.
    for _ in 0..5 {
        let held = pool.call(demo::counter(5)).await.unwrap();
        let pid = pool.call(demo::pid()).await.unwrap();
        let parents = listens_on(std::process::id());
        let linked: Vec<_> = connected_to(pid).intersection(&parents).copied().collect();
        assert_eq!(linked.len(), 1, "the runner serves");
        drop(held);
        assert_eq!(function.until_quiet().await, [pid], "the environment is frozen");
        assert!(!connected_to(pid).contains(&linked[0]), "the link is closed");
    }
    pool.drain().await;
    assert_eq!(function.account.count("Invoke").await, 5);
}

async fn the_log_of_a_second_runner_reaches_its_own_parent() {
    let function = Function::of_runners().await;
    let variables = function.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for round in 0..2 {
        let (printed, log) = Program::start("talks_on_lambda", &variables).finish().await;
        let runner = printed.trim().strip_prefix("runner ").expect("the program prints its runner");
        let lines: Vec<_> = log.lines().filter(|line| line.contains("logged answer=42")).collect();
        assert_eq!(lines.len(), 1, "round {round}: {log}");
        assert!(lines[0].starts_with(&format!("[test {runner} c-")), "round {round}: {log}");
        assert_eq!(function.until_quiet().await.len(), 1, "round {round}");
    }
}

async fn a_plain_function_that_still_runs_ends_its_environment() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1).shutdown_timeout(Duration::from_millis(300));
    let pool = pool.start().await.unwrap();
    let first = pool.call(demo::pid()).await.unwrap();
    pool.cast(misbehaving::spins()).await.unwrap();
    pool.drain().await;
    until_gone(&[first]).await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    assert_ne!(pool.call(demo::pid()).await.unwrap(), first);
    pool.drain().await;
}

async fn a_runner_drains_before_its_timeout_and_no_call_is_lost() {
    // The last 10 s of the 20 s are the margin. Of the 10 s before, the runner serves five.
    let timeout = Duration::from_secs(20);
    let function = Function::with(timeout, &[("FLAME_RUNNER", "lambda")]).await;
    let pool = function.pool().await.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let too_long = pool.call(demo::pid()).await.unwrap_err();
    assert!(
        matches!(too_long, CallError::TooLong { .. }),
        "a call has 30 s by default: {too_long}"
    );
    let mut answered = 0;
    let served = async {
        loop {
            // Shorter than a fresh runner lives. On a busy machine a boot may take longer than
            // that, and then the call times out, which is not a loss.
            let nap = demo::nap(Duration::from_millis(100)).timeout(Duration::from_secs(4));
            match pool.call(nap).await {
                Ok(_) => answered += 1,
                Err(CallError::Timeout { .. }) => {}
                Err(lost) => panic!("no call is lost: {lost}"),
            }
        }
    };
    let replaced = async {
        for _ in 0..2 {
            watcher.next(|event| matches!(event, PoolEvent::Shrink { .. }).then_some(())).await;
        }
    };
    tokio::select! {
        () = served => {}
        () = replaced => {}
    }
    let lost = watcher.seen.iter().find(|event| matches!(event, PoolEvent::RunnerLost { .. }));
    assert!(lost.is_none(), "{lost:?}");
    assert!(answered > 0, "the runners have served");
    pool.drain().await;
}

async fn a_killed_parents_invocations_end_after_the_reconnect_timeout() {
    // If the runners did not exit by themselves, their invocations would last for half an hour.
    let function = Function::with(Duration::from_secs(1_800), &[("FLAME_RUNNER", "lambda")]).await;
    let variables = function.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut parent = Program::start("parent_on_lambda", &variables);
    let runners = parent.until_ready().await;
    assert_eq!(runners.len(), 2);
    assert_eq!(function.account.running().await.len(), 2);
    parent.kill().await;
    // `reconnect_timeout` is a second. The idle runner would propose to shut down only after 30 s.
    function.until_logged(2, "it lost its parent (code 82)", Duration::from_secs(10)).await;
    let mut left = function.until_quiet().await;
    left.sort_unstable();
    let mut pids: Vec<u32> = runners.iter().map(|(_, pid)| *pid).collect();
    pids.sort_unstable();
    assert_eq!(left, pids, "both environments have responded and are warm");
}

async fn a_runner_whose_parent_is_killed_during_the_boot_ends_by_itself() {
    let function = Function::with(Duration::from_secs(900), &[("FLAME_RUNNER", "lambda")]).await;
    function.account.fault(json!({ "target": "environment", "start_ms": 2_000 })).await;
    let variables = function.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut parent = Program::start("boots_on_lambda", &variables);
    parent.until_ready().await;
    while function.account.count("Invoke").await == 0 {
        tokio::task::yield_now().await;
    }
    parent.kill().await;
    assert!(
        function.account.running().await.is_empty(),
        "the runner's process has not started yet"
    );
    let ended = "the runner ended after 0 calls: it never connected to its parent (code 81)";
    function.until_logged(1, ended, Duration::from_secs(15)).await;
    assert_eq!(function.until_quiet().await.len(), 1);
}

async fn sigterm_lets_a_runner_finish_and_ends_its_environment() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    let first = gate.entered().await;
    let mut watcher = Watcher::new(&pool);
    signal(first, Signal::TERM);
    // Another runner takes over while the first one finishes.
    while pool.call(demo::pid()).await.unwrap() == first {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!is_gone(first), "a call is running");
    gate.open();
    assert_eq!(call.await.unwrap().unwrap().unwrap(), first);
    watcher.next(|event| matches!(event, PoolEvent::Shrink { .. }).then_some(())).await;
    until_gone(&[first]).await;
    pool.drain().await;
    // An environment that serves no runner exits at SIGTERM at once. Lambda thaws an environment
    // before it ends the environment.
    let warm = function.until_quiet().await;
    assert_eq!(warm.len(), 1);
    signal(warm[0], Signal::TERM);
    signal(warm[0], Signal::CONT);
    until_gone(&warm).await;
}

async fn an_event_from_elsewhere_is_an_error_and_the_environment_lives_on() {
    let function = Function::of_runners().await;
    for (event, kind, advice) in [
        (r#"{"Records":[]}"#, "Flame.NotAPoolsEvent", "remove triggers"),
        ("[1]", "Flame.NotAPoolsEvent", "let a pool invoke it"),
        (r#"{"FLAME_PARENT":"flame1.x","v":9}"#, "Flame.OtherVersion", "the same build"),
        (r#"{"FLAME_PARENT":"nonsense","v":1}"#, "Flame.BadParent", "unchanged"),
    ] {
        let (failed, answer) = function.invoke(event).await;
        assert!(failed && answer.contains(kind) && answer.contains(advice), "{answer}");
    }
    let environments = function.until_quiet().await;
    assert_eq!(environments.len(), 1, "the environment has outlived the errors");
    let pool = function.pool().await.max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::pid()).await.unwrap(), environments[0]);
    let late = pool.call(demo::forever().timeout(Duration::from_millis(50))).await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    pool.drain().await;
}
