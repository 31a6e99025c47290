//! Runners that are lost, or leave, and what becomes of their calls.

use std::time::Duration;

use flame_aws::{CallError, Placement, Pool, PoolBuilder, TimeoutPhase};
use flame_tests::mischief::{self, Gate};
use flame_tests::process::{self, ends_clean, is_gone, is_stopped, pids, until_gone};
use flame_tests::{Test, Watcher, demo, process_pool, tests, until};
use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::task::JoinHandle;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_runner_killed_while_idle_is_replaced_at_the_next_call,
        a_runner_killed_during_a_call_loses_that_call_alone,
        a_runner_killed_after_its_reply_takes_nothing_with_it,
        a_runner_killed_before_its_call_was_sent_is_told_apart,
        a_function_that_kills_its_process_is_a_lost_runner,
        a_function_that_exits_is_a_lost_runner,
        a_runner_of_min_that_is_killed_is_replaced,
        waiters_are_served_when_their_runner_dies_again_and_again,
        a_stopped_runner_holds_no_caller_past_its_deadline,
        a_stopped_runner_that_wakes_in_time_goes_on,
        sigterm_lets_calls_end_and_sends_new_ones_elsewhere,
        sigterm_under_a_stream_of_calls_loses_none,
        a_second_sigterm_ends_the_runner_at_once,
        a_grandchild_that_keeps_the_output_open_holds_nothing_up,
        a_panic_hurts_its_call_alone,
        a_full_queue_says_so_and_the_pool_goes_on,
        a_deadline_in_the_past_is_a_timeout_and_nothing_runs,
        a_stream_whose_runner_dies_ends_with_the_error,
        a_child_whose_runner_dies_ends_with_the_error_and_so_do_its_channels,
        a_held_value_whose_runner_died_is_a_lost_runner,
    ]
}

/// A call that waits behind a gate until it is opened, and its process.
async fn behind_a_gate(pool: &Pool) -> (Gate, JoinHandle<Result<u32, CallError>>, u32) {
    let (mut gate, begun, open) = Gate::new();
    let call = pool.call(mischief::gated(begun, open).timeout(None));
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
    ends_clean(&pool, &[pid]).await;
}

async fn a_runner_killed_during_a_call_loses_that_call_alone() {
    let pool = process_pool("test").max(2).max_concurrency(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (_gate, lost, pid) = behind_a_gate(&pool).await;
    let (gate, other, other_pid) = behind_a_gate(&pool).await;
    // Both are full: these wait, for any runner.
    let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(pool.call(demo::pid()))).collect();
    until("they wait", || pool.snapshot().queued == 3).await;
    process::kill(pid);
    let error = lost.await.unwrap().unwrap_err();
    let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("SIGKILL"), "{reason}");
    assert_eq!(watcher.lost().await, 1);
    for call in waiting {
        let next = call.await.unwrap().unwrap();
        assert!(next != pid && next != other_pid, "a new runner serves those who wait");
    }
    gate.open();
    assert_eq!(other.await.unwrap().unwrap(), other_pid, "the other runner's call goes on");
    ends_clean(&pool, &[pid, other_pid]).await;
}

async fn a_runner_killed_after_its_reply_takes_nothing_with_it() {
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
    ends_clean(&pool, &[]).await;
}

async fn a_runner_killed_before_its_call_was_sent_is_told_apart() {
    // The link takes what fits its windows while the runner sleeps; the rest was never sent.
    let pool = process_pool("test").max(1).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    process::signal(pid, Signal::STOP);
    until("it is stopped", || is_stopped(pid)).await;
    let call = tokio::spawn(pool.call(demo::echo(demo::bytes(32 << 20))));
    until("the call is on it", || pool.snapshot().leased == 1).await;
    process::kill(pid);
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::RunnerLost { started: false, .. }), "{error:?}");
    ends_clean(&pool, &[pid]).await;
}

async fn a_function_that_kills_its_process_is_a_lost_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let error = pool.call(mischief::dies()).await.unwrap_err();
    let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("SIGKILL"), "{reason}");
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    ends_clean(&pool, &[]).await;
}

async fn a_function_that_exits_is_a_lost_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    for code in [0, 3] {
        let error = pool.call(demo::exits(code)).await.unwrap_err();
        let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
        assert!(reason.contains(&format!("by itself (exit code {code})")), "{reason}");
        assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    }
    ends_clean(&pool, &[]).await;
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
    ends_clean(&pool, &after).await;
}

async fn waiters_are_served_when_their_runner_dies_again_and_again() {
    let pool = process_pool("test").max(2).max_concurrency(2).start().await.unwrap();
    let deadly: Vec<_> = (0..6).map(|_| tokio::spawn(pool.call(mischief::dies()))).collect();
    let calls: Vec<_> = (0..40).map(|n| tokio::spawn(pool.call(demo::double(n)))).collect();
    let mut lost = 0;
    for (n, call) in (0..).zip(calls) {
        match call.await.unwrap() {
            Ok(doubled) => assert_eq!(doubled, 2 * n),
            // It shared its runner with one that died.
            Err(CallError::RunnerLost { .. }) => lost += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(lost <= 6, "each death takes at most the one call beside it: {lost}");
    for call in deadly {
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error, CallError::RunnerLost { .. }), "{error:?}");
    }
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    ends_clean(&pool, &[]).await;
}

fn impatient(pool: PoolBuilder) -> PoolBuilder {
    pool.keepalive_timeout(Duration::from_secs(1)).reconnect_timeout(Duration::from_millis(1500))
}

async fn a_stopped_runner_holds_no_caller_past_its_deadline() {
    let pool = impatient(process_pool("test").min(1).max(1)).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let pid = pool.call(demo::pid()).await.unwrap();
    let (_gate, under_way, _) = behind_a_gate(&pool).await;
    process::signal(pid, Signal::STOP);
    let late = pool.call(demo::double(1).timeout(Duration::from_millis(50))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Run, .. }) = late else { panic!("{late:?}") };
    // It is still there: nothing but its silence tells that it is of no use.
    assert!(is_stopped(pid));
    let error = under_way.await.unwrap().unwrap_err();
    let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("silent"), "{reason}");
    watcher.lost().await;
    watcher.up().await;
    assert_ne!(pool.call(demo::pid()).await.unwrap(), pid);
    until_gone(&[pid]).await;
    ends_clean(&pool, &[pid]).await;
}

async fn a_stopped_runner_that_wakes_in_time_goes_on() {
    let pool = process_pool("test").max(1).keepalive_timeout(Duration::from_millis(600));
    let pool = pool.reconnect_timeout(Duration::from_secs(60)).start().await.unwrap();
    let (gate, call, pid) = behind_a_gate(&pool).await;
    process::signal(pid, Signal::STOP);
    let waiting: Vec<_> =
        (0..3).map(|n| tokio::spawn(pool.call(demo::double(n).timeout(None)))).collect();
    // Longer than the silence limit: its socket is given up, and it has to come back.
    tokio::time::sleep(Duration::from_secs(1)).await;
    process::signal(pid, Signal::CONT);
    for (n, call) in (0..).zip(waiting) {
        assert_eq!(call.await.unwrap().unwrap(), 2 * n);
    }
    gate.open();
    assert_eq!(call.await.unwrap().unwrap(), pid);
    ends_clean(&pool, &[pid]).await;
}

async fn sigterm_lets_calls_end_and_sends_new_ones_elsewhere() {
    let pool = process_pool("test").max(2).placement(Placement::Pack).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let (gate, call, pid) = behind_a_gate(&pool).await;
    process::signal(pid, Signal::TERM);
    let draining = |event: &flame_aws::PoolEvent| {
        matches!(event, flame_aws::PoolEvent::Draining { .. }).then_some(())
    };
    watcher.next(draining).await;
    assert_ne!(pool.call(demo::pid()).await.unwrap(), pid);
    assert!(!is_gone(pid), "it waits for its call");
    gate.open();
    assert_eq!(call.await.unwrap().unwrap(), pid);
    watcher.next(|event| matches!(event, flame_aws::PoolEvent::Shrink { .. }).then_some(())).await;
    until_gone(&[pid]).await;
    ends_clean(&pool, &[pid]).await;
}

async fn sigterm_under_a_stream_of_calls_loses_none() {
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
    assert!(signalled.len() > 1, "several runners had to go");
    ends_clean(&pool, &signalled).await;
}

async fn a_second_sigterm_ends_the_runner_at_once() {
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
    let truthful =
        matches!(error, CallError::Cancelled | CallError::RunnerLost { started: true, .. });
    assert!(truthful, "{error:?}");
    until_gone(&[pid]).await;
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    ends_clean(&pool, &[pid]).await;
}

async fn a_grandchild_that_keeps_the_output_open_holds_nothing_up() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let mut grandchildren = Vec::new();
    let pid = pool.call(demo::pid()).await.unwrap();
    grandchildren.push(pool.call(mischief::leaves_a_grandchild()).await.unwrap().unwrap());
    process::kill(pid);
    watcher.lost().await;
    let pid = pool.call(demo::pid()).await.unwrap();
    grandchildren.push(pool.call(mischief::leaves_a_grandchild()).await.unwrap().unwrap());
    ends_clean(&pool, &[pid]).await;
    until_gone(&grandchildren).await;
}

async fn a_panic_hurts_its_call_alone() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let (gate, beside, pid) = behind_a_gate(&pool).await;
    let error = pool.call(demo::panics("alone")).await.unwrap_err();
    assert!(matches!(&error, CallError::Panicked { message, .. } if message == "alone"));
    let error = pool.call(demo::panics_plainly()).await.unwrap_err();
    assert!(matches!(error, CallError::Panicked { .. }));
    gate.open();
    assert_eq!(beside.await.unwrap().unwrap(), pid);
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    ends_clean(&pool, &[pid]).await;
}

async fn a_full_queue_says_so_and_the_pool_goes_on() {
    let pool = process_pool("test").max(1).max_concurrency(1).max_queue(2).start().await.unwrap();
    let (gate, call, pid) = behind_a_gate(&pool).await;
    let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(pool.call(demo::pid()))).collect();
    until("they wait", || pool.snapshot().queued == 2).await;
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
    ends_clean(&pool, &[pid]).await;
}

async fn a_deadline_in_the_past_is_a_timeout_and_nothing_runs() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let none = pool.call(demo::double(1).timeout(Duration::ZERO)).await;
    assert!(matches!(none, Err(CallError::Timeout { .. })), "{none:?}");
    assert_eq!(pool.snapshot().runners, [], "nothing is booted for it");
    pool.call(demo::double(1)).await.unwrap();
    // Made in time, asked for too late.
    let call = pool.call(demo::tally(1, demo::bytes(1)).timeout(Duration::from_millis(1)));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let late = call.await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    assert_eq!(pool.call(demo::tallied()).await.unwrap(), []);
    ends_clean(&pool, &[]).await;
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
    ends_clean(&pool, &[]).await;
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
    assert!(out.recv().await.is_err(), "a loss is no clean end");
    let lost = join_all((0..20).map(|n| numbers.send(n))).await;
    assert!(lost.iter().any(Result::is_err), "nobody takes them");
    ends_clean(&pool, &[]).await;
}

async fn a_held_value_whose_runner_died_is_a_lost_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let counter = pool.call(demo::counter(1)).await.unwrap();
    process::kill(pids(&pool)[0]);
    assert_eq!(watcher.lost().await, 1, "the value has kept its slot");
    let lost = pool.at(&counter).call(demo::next(counter.clone())).await;
    assert!(matches!(lost, Err(CallError::RunnerLost { started: false, .. })), "{lost:?}");
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    ends_clean(&pool, &[]).await;
}
