//! Lives of tasks: many at once, to zero and back, signals, and what all of it costs in requests.

use std::collections::BTreeSet;
use std::time::Duration;

use flame_aws::{CallError, Idle};
use flame_tests::demo::{
    gates::{self, Gate},
    misbehaving,
};
use flame_tests::emulator::{self, EcsApp};
use flame_tests::program::Program;
use flame_tests::{Test, Watcher, demo, emulated, tests};
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![
        an_idle_runner_ends_by_itself_and_the_pool_comes_back_from_zero,
        a_runner_that_crashes_is_seen_with_its_exit_code,
        a_killed_parent_leaves_no_task_beyond_the_grace,
    ];
    let here = tests![
        fifty_runners_boot_at_once_and_cost_less_than_four_requests_each,
        a_runner_that_is_killed_is_lost_and_replaced,
        a_task_that_hangs_is_lost_and_stopped,
        a_spot_notice_lets_the_call_end_and_sends_new_ones_elsewhere,
        a_call_that_does_not_end_after_sigterm_is_ended_before_sigkill,
        a_task_that_starts_when_its_parent_is_dead_ends_by_itself,
        a_pool_that_drains_in_a_boot_leaves_no_task,
        throttled_looks_do_not_stop_the_poller,
        a_stop_that_is_throttled_is_repeated,
    ];
    [anywhere, emulated(here)].concat()
}

const SECOND: Duration = Duration::from_secs(1);

async fn fifty_runners_boot_at_once_and_cost_less_than_four_requests_each() {
    const RUNNERS: u32 = 50;
    let app = EcsApp::new().await;
    // As often as it is by default.
    let backend = app.backend().await.poll_every(SECOND, SECOND * 5);
    let pool = app.pool_of("fifty", backend).min(RUNNERS).max(RUNNERS).max_concurrency(1);
    let pool = pool.start().await.unwrap();
    pool.ready().await;
    let runners = pool.snapshot().runners;
    let instances: BTreeSet<_> = runners.iter().filter_map(|it| it.instance.as_ref()).collect();
    assert_eq!(instances.len(), RUNNERS as usize);
    assert_eq!(app.account.running().await.len(), RUNNERS as usize);
    pool.drain().await;
    app.until_nothing_runs().await;
    let calls = app.account.calls().await;
    let count = |name: &str| calls.get(name).copied().unwrap_or(0);
    assert_eq!(count("RunTask"), u64::from(RUNNERS));
    assert_eq!(count("StopTask"), 0, "they ended by themselves");
    assert_eq!(count("RegisterTaskDefinition"), 1, "that of the test: none at run time");
    let life = ["RunTask", "DescribeTasks", "StopTask", "ListTasks"].map(count).iter().sum::<u64>();
    assert!(life < u64::from(4 * RUNNERS), "{calls:?}");
}

async fn an_idle_runner_ends_by_itself_and_the_pool_comes_back_from_zero() {
    let app = EcsApp::new().await;
    let pool = app.pool("idle").await.max(1).idle_shutdown_after(Duration::from_millis(300));
    let pool = pool.start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let arn = pool.snapshot().runners[0].instance.clone().unwrap();
    let task = app.until_stopped(&arn).await;
    assert_eq!(task.stop_code().map(|code| code.as_str()), Some("EssentialContainerExited"));
    assert_eq!(task.stopped_reason(), Some("Essential container in task exited"));
    assert_eq!(task.containers()[0].exit_code(), Some(0));
    flame_tests::until("the pool is empty", || pool.snapshot().runners.is_empty()).await;
    assert_ne!(pool.call(demo::ecs_instance()).await.unwrap().unwrap(), arn);
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn a_runner_that_crashes_is_seen_with_its_exit_code() {
    let app = EcsApp::new().await;
    let pool = app.pool("crashes").await.max(1).start().await.unwrap();
    match pool.call(demo::exits(7)).await {
        Err(CallError::RunnerLost { started: true, reason, .. }) => {
            assert!(reason.contains("code 7"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    pool.drain().await;
}

async fn a_runner_that_is_killed_is_lost_and_replaced() {
    let app = EcsApp::new().await;
    let pool = app.pool("killed").await.max(1).start().await.unwrap();
    let killed = pool.call(demo::ecs_instance()).await.unwrap().unwrap();
    let mut watcher = Watcher::new(&pool);
    app.account.kill().await;
    assert_eq!(watcher.lost().await, 0);
    let task = app.until_stopped(&killed).await;
    assert_eq!(task.containers()[0].exit_code(), Some(137));
    assert_ne!(pool.call(demo::ecs_instance()).await.unwrap().unwrap(), killed);
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn a_task_that_hangs_is_lost_and_stopped() {
    let app = EcsApp::new().await;
    app.define("hangs", |container| container.stop_timeout(2)).await;
    let backend = app.backend().await.task_definition("hangs");
    let pool = app.pool_of("hangs", backend).max(1).timeout(None).shutdown_timeout(SECOND);
    let pool = pool.keepalive_timeout(SECOND).reconnect_timeout(2 * SECOND).start().await.unwrap();
    let arn = pool.call(demo::ecs_instance()).await.unwrap().unwrap();
    let ended = pool.call(misbehaving::blocks_every_worker()).await;
    assert!(matches!(ended, Err(CallError::RunnerLost { started: true, .. })), "{ended:?}");
    let task = app.until_stopped(&arn).await;
    assert_eq!(task.stop_code().map(|code| code.as_str()), Some("UserInitiated"));
    assert_eq!(task.containers()[0].exit_code(), Some(137), "it hears no SIGTERM");
    assert!(app.account.count("StopTask").await >= 1);
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn a_spot_notice_lets_the_call_end_and_sends_new_ones_elsewhere() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.capacity_provider("FARGATE_SPOT", 1);
    let pool = app.pool_of("spot", backend).timeout(None).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    let pid = gate.entered().await;
    let arn = pool.snapshot().runners[0].instance.clone().unwrap();
    let tasks = app.tasks().await;
    let task = tasks.iter().find(|task| task.task_arn() == Some(&arn)).unwrap();
    assert_eq!(task.capacity_provider_name(), Some("FARGATE_SPOT"));

    app.account.post("_spot", json!({ "task": arn })).await;
    // It is told, says so, and takes nothing new.
    let mut watcher = Watcher::new(&pool);
    let elsewhere = async {
        loop {
            if pool.call(demo::ecs_instance()).await.unwrap().unwrap() != arn {
                return;
            }
        }
    };
    elsewhere.await;
    gate.open();
    assert_eq!(call.await.unwrap().unwrap().unwrap(), pid, "the call has run to its end");
    let task = app.until_stopped(&arn).await;
    assert_eq!(task.stop_code().map(|code| code.as_str()), Some("SpotInterruption"));
    assert_eq!(task.containers()[0].exit_code(), Some(0), "it left in good order");
    pool.drain().await;
    watcher.drained().await;
}

async fn a_call_that_does_not_end_after_sigterm_is_ended_before_sigkill() {
    let app = EcsApp::new().await;
    // As with the defaults, window and `stopTimeout` are the same.
    app.define("short", |container| container.stop_timeout(6)).await;
    for spot in [true, false] {
        let backend = app.backend().await.task_definition("short");
        let pool = app.pool_of("cut", backend).max(1).timeout(None).shutdown_timeout(SECOND * 6);
        let pool = pool.start().await.unwrap();
        let (mut gate, begun, open) = Gate::new();
        let call = tokio::spawn(pool.call(gates::gated(begun, open)));
        gate.entered().await;
        let arn = pool.snapshot().runners[0].instance.clone().unwrap();
        if spot {
            app.account.post("_spot", json!({ "task": arn })).await;
        } else {
            let stop = app.client.stop_task().cluster(EcsApp::CLUSTER).task(&arn);
            stop.send().await.unwrap();
        }
        let ended = call.await.unwrap().unwrap_err();
        // What it says of the call may be overtaken by its goodbye.
        assert!(matches!(ended, CallError::Cancelled), "{ended:?}");
        let task = app.until_stopped(&arn).await;
        assert_eq!(task.containers()[0].exit_code(), Some(83), "it left by itself");
        pool.drain().await;
    }
    app.until_nothing_runs().await;
}

async fn a_killed_parent_leaves_no_task_beyond_the_grace() {
    let app = EcsApp::new().await;
    let variables = app.account.variables();
    let variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let mut parent = Program::start("ecs_family", &variables);
    let children = parent.until_ready().await;
    let kinds: Vec<&str> = children.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["idle", "busy"]);
    assert_eq!(app.count_running().await, 2);
    for (_, pid) in &children {
        assert!(app.runs(*pid).await, "{children:?}");
    }
    parent.kill().await;
    // The grace is one second; the rest is for a machine that is busy. Elsewhere than in the
    // emulator a task may be seen to stop much later than it does.
    let patience = if emulator::is_used().unwrap() { SECOND * 15 } else { SECOND * 60 };
    let gone = tokio::time::timeout(patience, app.until_nothing_runs()).await;
    gone.expect("they end when the grace is over");
    let tasks = app.tasks().await;
    let codes: Vec<_> = tasks.iter().map(|task| task.containers()[0].exit_code()).collect();
    assert!(codes.iter().all(|code| *code == Some(82)), "they found their parent lost: {codes:?}");
    let stops = tasks.iter().map(|task| task.stop_code().map(|code| code.as_str()));
    let stops: Vec<_> = stops.collect();
    assert_eq!(stops, [Some("EssentialContainerExited"); 2], "nobody else ended them");
}

async fn a_task_that_starts_when_its_parent_is_dead_ends_by_itself() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "task", "start_ms": 4_000 })).await;
    let variables = app.account.variables();
    let variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let parent = Program::start("ecs_booting", &variables);
    let ordered = async {
        loop {
            if let [task] = app.tasks().await.as_slice() {
                return task.task_arn().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let arn = tokio::time::timeout(SECOND * 30, ordered).await.expect("a task is ordered");
    parent.kill().await;
    assert!(app.account.running().await.is_empty(), "it is still to start");
    let task = app.until_stopped(&arn).await;
    assert!(task.started_at().is_some(), "it did start");
    assert_eq!(task.stop_code().map(|code| code.as_str()), Some("EssentialContainerExited"));
    assert_eq!(task.containers()[0].exit_code(), Some(81), "it never found its parent");
    assert_eq!(app.account.count("StopTask").await, 0, "nobody else ended it");
    app.until_nothing_runs().await;
}

async fn a_pool_that_drains_in_a_boot_leaves_no_task() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "task", "start_ms": 300 })).await;
    let pool = app.pool("drains").await.min(2).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let call = tokio::spawn(pool.call(demo::double(1)));
    while app.account.count("RunTask").await < 2 {
        tokio::task::yield_now().await;
    }
    pool.drain().await;
    assert!(matches!(call.await.unwrap(), Err(CallError::Draining)));
    watcher.drained().await;
    app.until_nothing_runs().await;
    let tasks = app.tasks().await;
    assert_eq!(tasks.len(), 2);
    assert!(tasks.iter().all(|task| task.last_status() == Some("STOPPED")));
}

async fn throttled_looks_do_not_stop_the_poller() {
    let app = EcsApp::new().await;
    let pool = app.pool("throttled").await.max(1).idle_shutdown_after(Idle::Never);
    let pool = pool.start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    app.account.fails("DescribeTasks", 2, "ThrottlingException", "Rate exceeded").await;
    app.account.fails("DescribeTasks", 1, "ServerException", "").await;
    let mut watcher = Watcher::new(&pool);
    app.account.kill().await;
    assert_eq!(watcher.lost().await, 0, "its death is seen all the same");
    pool.drain().await;
}

async fn a_stop_that_is_throttled_is_repeated() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.env("DEMO_HANG_IN_BOOT", "1");
    let pool = app.pool_of("stops", backend).max(1).boot_timeout(SECOND).start().await.unwrap();
    app.account.fails("StopTask", 2, "ThrottlingException", "Rate exceeded").await;
    let failed = pool.call(demo::double(1)).await;
    assert!(matches!(failed, Err(CallError::BootFailed(_))), "{failed:?}");
    pool.drain().await;
    app.until_nothing_runs().await;
    assert!(app.account.count("StopTask").await >= 3);
}
