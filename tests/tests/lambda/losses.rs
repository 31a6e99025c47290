//! Runners that are lost while they serve, and invocations that are given up.

use std::time::Duration;

use flame_aws::backend::InvocationType;
use flame_aws::{CallError, PoolEvent};
use flame_tests::demo::misbehaving;
use flame_tests::emulator::Function;
use flame_tests::process::{kill, signal};
use flame_tests::{Test, Watcher, demo, emulated, tests};
use rustix::process::Signal;
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![
        a_runners_death_is_known_at_once_by_lambdas_response,
        the_death_of_an_events_runner_is_known_by_its_link,
        a_blocked_runner_is_ended_by_lambda_at_its_timeout,
        the_connection_of_an_invocation_has_tcp_keepalive,
    ];
    let here = tests![a_lost_response_costs_no_runner, a_hanging_runner_is_given_up,];
    [anywhere, emulated(here)].concat()
}

async fn a_runners_death_is_known_at_once_by_lambdas_response() {
    let function = Function::of_runners().await;
    let reconnect_timeout = Duration::from_secs(600);
    let pool =
        function.pool().await.max(1).reconnect_timeout(reconnect_timeout).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let first = pool.snapshot().runners[0].runner;
    let lost = pool.call(misbehaving::dies()).await;
    let Err(CallError::RunnerLost { started: true, reason, .. }) = lost else { panic!("{lost:?}") };
    assert!(reason.contains("Runtime exited"), "{reason}");
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    assert_ne!(pool.snapshot().runners[0].runner, first);
    pool.drain().await;
}

async fn the_death_of_an_events_runner_is_known_by_its_link() {
    let function = Function::of_runners().await;
    let backend = function.backend().await.invocation(InvocationType::Event);
    let reconnect_timeout = Duration::from_millis(500);
    let pool = function
        .pool_of(backend)
        .max(1)
        .reconnect_timeout(reconnect_timeout)
        .start()
        .await
        .unwrap();
    let lost = pool.call(misbehaving::dies()).await;
    assert!(matches!(lost, Err(CallError::RunnerLost { started: true, .. })), "{lost:?}");
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    pool.drain().await;
}

async fn a_blocked_runner_is_ended_by_lambda_at_its_timeout() {
    let timeout = Duration::from_secs(15);
    let function = Function::with(timeout, &[("FLAME_RUNNER", "lambda")]).await;
    let pool = function.pool().await.max(1).timeout(None).start().await.unwrap();
    let lost = pool.call(misbehaving::blocks_every_worker()).await;
    let Err(CallError::RunnerLost { started: true, reason, .. }) = lost else { panic!("{lost:?}") };
    assert!(reason.contains("Task timed out after 15.00 seconds"), "{reason}");
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    pool.drain().await;
}

async fn a_lost_response_costs_no_runner() {
    let function = Function::of_runners().await;
    function.account.fault(json!({ "target": "Invoke", "reset_after": true })).await;
    let idle = Duration::from_millis(300);
    let pool = function.pool().await.max(1).idle_shutdown_after(idle).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    watcher.next(|event| matches!(event, PoolEvent::Shrink { .. }).then_some(())).await;
    pool.drain().await;
    let wrong = watcher
        .seen
        .iter()
        .find(|event| matches!(event, PoolEvent::RunnerLost { .. } | PoolEvent::StopFailed { .. }));
    assert!(wrong.is_none(), "{wrong:?}");
    assert_eq!(function.account.count("Invoke").await, 1, "the request is not repeated");
}

async fn the_connection_of_an_invocation_has_tcp_keepalive() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1).start().await.unwrap();
    pool.call(demo::pid()).await.unwrap();
    let (_, port) = function.account.endpoint.rsplit_once(':').expect("an endpoint has a port");
    let to_lambda = format!("0100007F:{:04X}", port.parse::<u16>().expect("a port"));
    // See proc(5): the remote address, the state (01 is established), and the timer (02 is
    // keepalive).
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("the kernel lists its sockets");
    let has_keepalive = sockets.lines().any(|socket| {
        let fields: Vec<_> = socket.split_whitespace().collect();
        let [_, _, remote, state, _, timer, ..] = fields[..] else { return false };
        remote == to_lambda && state == "01" && timer.starts_with("02:")
    });
    assert!(has_keepalive, "a NAT gateway drops a connection that is idle for 350 s:\n{sockets}");
    pool.drain().await;
}

async fn a_hanging_runner_is_given_up() {
    let function = Function::of_runners().await;
    let pool = function.pool().await.max(1);
    let pool = pool
        .keepalive_timeout(Duration::from_millis(600))
        .reconnect_timeout(Duration::from_millis(900));
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let pid = pool.call(demo::pid()).await.unwrap();
    signal(pid, Signal::STOP);
    let lost = pool.call(demo::double(1).timeout(None)).await;
    assert!(matches!(lost, Err(CallError::RunnerLost { .. })), "{lost:?}");
    // The pool does not wait for an invocation that Lambda can't end.
    tokio::time::timeout(Duration::from_secs(20), pool.drain())
        .await
        .expect("the invocation is given up");
    watcher.drained().await;
    let failed = watcher.seen.iter().find(|event| matches!(event, PoolEvent::StopFailed { .. }));
    assert!(failed.is_none(), "{failed:?}");
    kill(pid);
}
