//! Runners that are lost or shut down, and what happens to their calls.

use std::time::Duration;

use flame_aws::{CallError, Placement, Pool, PoolBuilder, TimeoutPhase};
use flame_tests::demo::{
    commands,
    gates::{self, Gate},
    misbehaving,
};
use flame_tests::process::{self, drains_cleanly, is_gone, is_stopped, pids, until_gone};
use flame_tests::{Test, Watcher, demo, process_pool, tests, until};
use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::task::JoinHandle;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_runner_killed_while_idle_is_replaced_at_the_next_call,
        a_runner_killed_during_a_call_loses_only_that_call,
        a_runner_killed_after_its_reply_loses_no_result,
        a_call_lost_before_it_was_sent_is_reported_as_not_started,
        a_function_that_kills_its_process_is_a_lost_runner,
        a_function_that_exits_is_a_lost_runner,
        a_runner_of_min_that_is_killed_is_replaced,
        queued_calls_are_served_although_runners_keep_dying,
        a_stopped_runner_holds_no_caller_past_its_deadline,
        a_stopped_runner_that_continues_in_time_loses_no_call,
        sigterm_lets_calls_finish_and_sends_new_ones_to_other_runners,
        sigterm_under_load_loses_no_call,
        a_second_sigterm_makes_the_runner_exit_at_once,
        a_leftover_process_that_keeps_the_output_open_delays_nothing,
        a_panic_fails_only_its_call,
        a_full_queue_rejects_calls_and_the_pool_goes_on,
        a_call_past_its_deadline_times_out_and_never_runs,
        a_stream_whose_runner_dies_ends_with_the_error,
        a_child_whose_runner_dies_ends_with_the_error_and_so_do_its_channels,
        a_held_value_whose_runner_died_is_a_lost_runner,
    ]
}

/// Makes a call that waits at a gate. Returns the process id of its runner.
async fn behind_a_gate(pool: &Pool) -> (Gate, JoinHandle<Result<u32, CallError>>, u32) {
    let (mut gate, begun, open) = Gate::new();
    let call = pool.call(gates::gated(begun, open).timeout(None));
    let call = tokio::spawn(async move { call.await.map(|gated| gated.unwrap()) });
    let pid = gate.entered().await;
    (gate, call, pid)
}

async fn a_runner_killed_while_idle_is_replaced_at_the_next_call() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let pid = pool.call(demo::pid()).await.unwrap();
    process::kill(pid);
    assert_eq!(watcher.lost().await, 0);
    let other = pool.call(demo::pid()).await.unwrap();
    assert_ne!(other, pid);
    assert!(is_gone(pid));
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_runner_killed_during_a_call_loses_only_that_call() {
    let pool = process_pool("test").max(2).max_concurrency(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (_gate, lost, pid) = behind_a_gate(&pool).await;
    let (gate, other, other_pid) = behind_a_gate(&pool).await;
    // Both runners are full, so these calls wait for either.
    let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(pool.call(demo::pid()))).collect();
    until("all calls are queued", || pool.snapshot().queued == 3).await;
    process::kill(pid);
    let error = lost.await.unwrap().unwrap_err();
    let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("SIGKILL"), "{reason}");
    assert_eq!(watcher.lost().await, 1);
    for call in waiting {
        let next = call.await.unwrap().unwrap();
        assert!(next != pid && next != other_pid, "a new runner has to serve the queued calls");
    }
    gate.open();
    assert_eq!(other.await.unwrap().unwrap(), other_pid, "the other runner's call finishes");
    drains_cleanly(&pool, &[pid, other_pid]).await;
}

async fn a_runner_killed_after_its_reply_loses_no_result() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    for _ in 0..5 {
        let blob = demo::bytes(100_000);
        assert_eq!(pool.call(demo::echo(blob.clone())).await.unwrap(), blob);
        let pid = pids(&pool)[0];
        process::kill(pid);
        watcher.lost().await;
        until_gone(&[pid]).await;
    }
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    drains_cleanly(&pool, &[]).await;
}

async fn a_call_lost_before_it_was_sent_is_reported_as_not_started() {
    // While the runner is stopped, the link sends only what fits its window.
    let pool = process_pool("test").max(1).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    process::signal(pid, Signal::STOP);
    until("the runner is stopped", || is_stopped(pid)).await;
    let call = tokio::spawn(pool.call(demo::echo(demo::bytes(32 << 20))));
    until("the call is on the runner", || pool.snapshot().leased == 1).await;
    process::kill(pid);
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::RunnerLost { started: false, .. }), "{error:?}");
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_function_that_kills_its_process_is_a_lost_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let error = pool.call(misbehaving::dies()).await.unwrap_err();
    let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("SIGKILL"), "{reason}");
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    drains_cleanly(&pool, &[]).await;
}

async fn a_function_that_exits_is_a_lost_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    for code in [0, 3] {
        let error = pool.call(demo::exits(code)).await.unwrap_err();
        let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
        assert!(reason.contains(&format!("by itself (exit code {code})")), "{reason}");
        assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    }
    drains_cleanly(&pool, &[]).await;
}

async fn a_runner_of_min_that_is_killed_is_replaced() {
    let pool = process_pool("test").min(2).max(2).start().await.unwrap();
    pool.ready().await;
    let mut watcher = Watcher::new(&pool);
    let before = pids(&pool);
    for pid in &before {
        process::kill(*pid);
    }
    for _ in &before {
        watcher.up().await;
    }
    until("min is kept", || pool.snapshot().up == 2).await;
    let after = pids(&pool);
    assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
    until_gone(&before).await;
    drains_cleanly(&pool, &after).await;
}

async fn queued_calls_are_served_although_runners_keep_dying() {
    let pool = process_pool("test").max(2).max_concurrency(2).start().await.unwrap();
    let deadly: Vec<_> = (0..6).map(|_| tokio::spawn(pool.call(misbehaving::dies()))).collect();
    let calls: Vec<_> = (0..40).map(|n| tokio::spawn(pool.call(demo::double(n)))).collect();
    let mut lost = 0;
    for (n, call) in (0..).zip(calls) {
        match call.await.unwrap() {
            Ok(doubled) => assert_eq!(doubled, 2 * n),
            // This call shared a runner with a call that killed it.
            Err(CallError::RunnerLost { .. }) => lost += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(lost <= 6, "each death may lose one other call at most: {lost}");
    for call in deadly {
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error, CallError::RunnerLost { .. }), "{error:?}");
    }
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    drains_cleanly(&pool, &[]).await;
}

fn with_short_timeouts(pool: PoolBuilder) -> PoolBuilder {
    pool.keepalive_timeout(Duration::from_secs(1)).reconnect_timeout(Duration::from_millis(1500))
}

async fn a_stopped_runner_holds_no_caller_past_its_deadline() {
    let pool = with_short_timeouts(process_pool("test").min(1).max(1)).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let pid = pool.call(demo::pid()).await.unwrap();
    let (_gate, under_way, _) = behind_a_gate(&pool).await;
    process::signal(pid, Signal::STOP);
    let late = pool.call(demo::double(1).timeout(Duration::from_millis(50))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Run, .. }) = late else { panic!("{late:?}") };
    // The process still exists: only its silence shows that the runner is unusable.
    assert!(is_stopped(pid));
    let error = under_way.await.unwrap().unwrap_err();
    let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("silent"), "{reason}");
    watcher.lost().await;
    watcher.up().await;
    assert_ne!(pool.call(demo::pid()).await.unwrap(), pid);
    until_gone(&[pid]).await;
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_stopped_runner_that_continues_in_time_loses_no_call() {
    let pool = process_pool("test").max(1).keepalive_timeout(Duration::from_millis(600));
    let pool = pool.reconnect_timeout(Duration::from_secs(60)).start().await.unwrap();
    let (gate, call, pid) = behind_a_gate(&pool).await;
    process::signal(pid, Signal::STOP);
    let waiting: Vec<_> =
        (0..3).map(|n| tokio::spawn(pool.call(demo::double(n).timeout(None)))).collect();
    // Longer than the keepalive timeout: the connection is closed, and the runner has to reconnect.
    tokio::time::sleep(Duration::from_secs(1)).await;
    process::signal(pid, Signal::CONT);
    for (n, call) in (0..).zip(waiting) {
        assert_eq!(call.await.unwrap().unwrap(), 2 * n);
    }
    gate.open();
    assert_eq!(call.await.unwrap().unwrap(), pid);
    drains_cleanly(&pool, &[pid]).await;
}

async fn sigterm_lets_calls_finish_and_sends_new_ones_to_other_runners() {
    let pool = process_pool("test").max(2).placement(Placement::Pack).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (gate, call, pid) = behind_a_gate(&pool).await;
    process::signal(pid, Signal::TERM);
    let draining = |event: &flame_aws::PoolEvent| {
        matches!(event, flame_aws::PoolEvent::Draining { .. }).then_some(())
    };
    watcher.next(draining).await;
    assert_ne!(pool.call(demo::pid()).await.unwrap(), pid);
    assert!(!is_gone(pid), "the runner waits for its call");
    gate.open();
    assert_eq!(call.await.unwrap().unwrap(), pid);
    watcher.next(|event| matches!(event, flame_aws::PoolEvent::Shrink { .. }).then_some(())).await;
    until_gone(&[pid]).await;
    drains_cleanly(&pool, &[pid]).await;
}

async fn sigterm_under_load_loses_no_call() {
    let pool = process_pool("test").max(4).max_concurrency(8).start().await.unwrap();
    let callers = (0..8).map(|caller| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for n in 0..100 {
                assert_eq!(pool.call(demo::double(n)).await.unwrap(), 2 * n, "caller {caller}");
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut signalled = Vec::new();
    while callers.iter().any(|caller| !caller.is_finished()) {
        let new = pids(&pool).into_iter().find(|pid| !signalled.contains(pid));
        if let Some(pid) = new {
            process::signal(pid, Signal::TERM);
            signalled.push(pid);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(signalled.len() > 1, "more than one runner has to get SIGTERM");
    drains_cleanly(&pool, &signalled).await;
}

async fn a_second_sigterm_makes_the_runner_exit_at_once() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (_gate, call, pid) = behind_a_gate(&pool).await;
    process::signal(pid, Signal::TERM);
    let draining = |event: &flame_aws::PoolEvent| {
        matches!(event, flame_aws::PoolEvent::Draining { .. }).then_some(())
    };
    watcher.next(draining).await;
    process::signal(pid, Signal::TERM);
    let error = call.await.unwrap().unwrap_err();
    let is_expected =
        matches!(error, CallError::Cancelled | CallError::RunnerLost { started: true, .. });
    assert!(is_expected, "{error:?}");
    until_gone(&[pid]).await;
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_leftover_process_that_keeps_the_output_open_delays_nothing() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let mut leftovers = Vec::new();
    let pid = pool.call(demo::pid()).await.unwrap();
    leftovers.push(pool.call(commands::leaves_a_process()).await.unwrap().unwrap());
    process::kill(pid);
    watcher.lost().await;
    let pid = pool.call(demo::pid()).await.unwrap();
    leftovers.push(pool.call(commands::leaves_a_process()).await.unwrap().unwrap());
    drains_cleanly(&pool, &[pid]).await;
    until_gone(&leftovers).await;
}

async fn a_panic_fails_only_its_call() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let (gate, beside, pid) = behind_a_gate(&pool).await;
    let error = pool.call(demo::panics("alone")).await.unwrap_err();
    assert!(matches!(&error, CallError::Panicked { message, .. } if message == "alone"));
    let error = pool.call(demo::panics_plainly()).await.unwrap_err();
    assert!(matches!(error, CallError::Panicked { .. }));
    gate.open();
    assert_eq!(beside.await.unwrap().unwrap(), pid);
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_full_queue_rejects_calls_and_the_pool_goes_on() {
    let pool = process_pool("test").max(1).max_concurrency(1).max_queue(2).start().await.unwrap();
    let (gate, call, pid) = behind_a_gate(&pool).await;
    let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(pool.call(demo::pid()))).collect();
    until("all calls are queued", || pool.snapshot().queued == 2).await;
    for _ in 0..10 {
        let full = pool.call(demo::pid()).await;
        assert!(matches!(full, Err(CallError::QueueFull { limit: 2 })), "{full:?}");
    }
    gate.open();
    for call in waiting {
        assert_eq!(call.await.unwrap().unwrap(), pid);
    }
    assert_eq!(call.await.unwrap().unwrap(), pid);
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_call_past_its_deadline_times_out_and_never_runs() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let none = pool.call(demo::double(1).timeout(Duration::ZERO)).await;
    assert!(matches!(none, Err(CallError::Timeout { .. })), "{none:?}");
    assert_eq!(pool.snapshot().runners, [], "no runner is booted for it");
    pool.call(demo::double(1)).await.unwrap();
    // The deadline passes between making the call and polling it.
    let call = pool.call(demo::tally(1, demo::bytes(1)).timeout(Duration::from_millis(1)));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let late = call.await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    assert_eq!(pool.call(demo::tallied()).await.unwrap(), []);
    drains_cleanly(&pool, &[]).await;
}

async fn a_stream_whose_runner_dies_ends_with_the_error() {
    use futures_util::StreamExt;
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut items = pool.stream(demo::endless());
    assert_eq!(items.next().await.unwrap().unwrap(), 0);
    process::kill(pids(&pool)[0]);
    let mut expected = 1;
    let error = loop {
        match items.next().await.expect("the error comes before the end") {
            Ok(item) => assert_eq!(item, expected),
            Err(error) => break error,
        }
        expected += 1;
    };
    assert!(matches!(error, CallError::RunnerLost { started: true, .. }), "{error:?}");
    assert!(items.next().await.is_none());
    drains_cleanly(&pool, &[]).await;
}

async fn a_child_whose_runner_dies_ends_with_the_error_and_so_do_its_channels() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let (numbers, rx) = flame_aws::channel(8);
    let (tx, mut out) = flame_aws::channel(8);
    let child = pool.place_child(demo::squares(rx, tx)).await.unwrap();
    numbers.send(3).await.unwrap();
    assert_eq!(out.recv().await.unwrap(), Some(9));
    process::kill(pids(&pool)[0]);
    let error = child.join().await.unwrap_err();
    assert!(matches!(error, CallError::RunnerLost { started: true, .. }), "{error:?}");
    assert!(out.recv().await.is_err(), "the lost runner's channel has to end with an error");
    let lost = join_all((0..20).map(|n| numbers.send(n))).await;
    assert!(lost.iter().any(Result::is_err), "sending to a lost runner has to fail");
    drains_cleanly(&pool, &[]).await;
}

async fn a_held_value_whose_runner_died_is_a_lost_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let counter = pool.call(demo::counter(1)).await.unwrap();
    process::kill(pids(&pool)[0]);
    assert_eq!(watcher.lost().await, 1, "the held value keeps its slot");
    let lost = pool.at(&counter).call(demo::next(counter.clone())).await;
    assert!(matches!(lost, Err(CallError::RunnerLost { started: false, .. })), "{lost:?}");
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    drains_cleanly(&pool, &[]).await;
}
