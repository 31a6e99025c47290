//! The life of tasks: many at once, scaling to zero and back, signals, and the number of requests.

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
        an_idle_runner_ends_by_itself_and_the_pool_scales_up_from_zero,
        a_runner_that_crashes_is_reported_with_its_exit_code,
        a_killed_parents_tasks_end_after_the_reconnect_timeout,
    ];
    let here = tests![
        fifty_runners_boot_at_once_with_fewer_than_four_requests_each,
        a_killed_runner_is_lost_and_replaced,
        a_hanging_task_is_lost_and_stopped,
        after_a_spot_interruption_calls_finish_and_new_calls_go_to_another_runner,
        a_call_that_outlasts_the_window_after_sigterm_is_cancelled_before_sigkill,
        a_task_that_starts_after_its_parents_death_ends_by_itself,
        a_pool_that_drains_during_a_boot_leaves_no_task,
        throttled_polls_do_not_stop_the_poller,
        a_throttled_stop_is_retried,
    ];
    [anywhere, emulated(here)].concat()
}

const SECOND: Duration = Duration::from_secs(1);

async fn fifty_runners_boot_at_once_with_fewer_than_four_requests_each() {
    const RUNNERS: u32 = 50;
    let app = EcsApp::new().await;
    // The default intervals.
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
    assert_eq!(count("StopTask"), 0, "the runners ended by themselves");
    assert_eq!(count("RegisterTaskDefinition"), 1, "the test registers one, and the backend none");
    let requests =
        ["RunTask", "DescribeTasks", "StopTask", "ListTasks"].map(count).iter().sum::<u64>();
    assert!(requests < u64::from(4 * RUNNERS), "{calls:?}");
}

async fn an_idle_runner_ends_by_itself_and_the_pool_scales_up_from_zero() {
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

async fn a_runner_that_crashes_is_reported_with_its_exit_code() {
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

async fn a_killed_runner_is_lost_and_replaced() {
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

async fn a_hanging_task_is_lost_and_stopped() {
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
    assert_eq!(
        task.containers()[0].exit_code(),
        Some(137),
        "a blocked runtime does not handle SIGTERM"
    );
    assert!(app.account.count("StopTask").await >= 1);
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn after_a_spot_interruption_calls_finish_and_new_calls_go_to_another_runner() {
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
    // The runner announces that it drains, and gets no new call.
    let mut watcher = Watcher::new(&pool);
    let on_another_runner = async {
        loop {
            if pool.call(demo::ecs_instance()).await.unwrap().unwrap() != arn {
                return;
            }
        }
    };
    on_another_runner.await;
    gate.open();
    assert_eq!(call.await.unwrap().unwrap().unwrap(), pid, "the call finished");
    let task = app.until_stopped(&arn).await;
    assert_eq!(task.stop_code().map(|code| code.as_str()), Some("SpotInterruption"));
    assert_eq!(task.containers()[0].exit_code(), Some(0), "the runner exited cleanly");
    pool.drain().await;
    watcher.drained().await;
}

async fn a_call_that_outlasts_the_window_after_sigterm_is_cancelled_before_sigkill() {
    let app = EcsApp::new().await;
    // The shutdown window is as long as `stopTimeout`, as with the defaults.
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

        assert!(matches!(ended, CallError::Cancelled), "{ended:?}");
        let task = app.until_stopped(&arn).await;
        assert_eq!(task.containers()[0].exit_code(), Some(83), "the runner exited by itself");
        pool.drain().await;
    }
    app.until_nothing_runs().await;
}

async fn a_killed_parents_tasks_end_after_the_reconnect_timeout() {
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
    // `reconnect_timeout` is one second; the rest is for a busy machine. Outside of the emulator
    // ECS may report a stop much later than it happens.
    let limit = if emulator::is_used().unwrap() { SECOND * 15 } else { SECOND * 60 };
    let gone = tokio::time::timeout(limit, app.until_nothing_runs()).await;
    gone.expect("the tasks end after the reconnect timeout");
    let tasks = app.tasks().await;
    let codes: Vec<_> = tasks.iter().map(|task| task.containers()[0].exit_code()).collect();
    assert!(codes.iter().all(|code| *code == Some(82)), "the runners lost their parent: {codes:?}");
    let stops = tasks.iter().map(|task| task.stop_code().map(|code| code.as_str()));
    let stops: Vec<_> = stops.collect();
    assert_eq!(stops, [Some("EssentialContainerExited"); 2], "nothing else stopped the tasks");
}

async fn a_task_that_starts_after_its_parents_death_ends_by_itself() {
    let app = EcsApp::new().await;
    app.account.fault(json!({ "target": "task", "start_ms": 4_000 })).await;
    let variables = app.account.variables();
    let variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let parent = Program::start("ecs_booting", &variables);
    let launched = async {
        loop {
            if let [task] = app.tasks().await.as_slice() {
                return task.task_arn().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let arn = tokio::time::timeout(SECOND * 30, launched).await.expect("a task is launched");
    parent.kill().await;
    assert!(app.account.running().await.is_empty(), "the task has not started yet");
    let task = app.until_stopped(&arn).await;
    assert!(task.started_at().is_some(), "the task did start");
    assert_eq!(task.stop_code().map(|code| code.as_str()), Some("EssentialContainerExited"));
    assert_eq!(
        task.containers()[0].exit_code(),
        Some(81),
        "the runner never connected to its parent"
    );
    assert_eq!(app.account.count("StopTask").await, 0, "nothing else stopped the task");
    app.until_nothing_runs().await;
}

async fn a_pool_that_drains_during_a_boot_leaves_no_task() {
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

async fn throttled_polls_do_not_stop_the_poller() {
    let app = EcsApp::new().await;
    let pool = app.pool("throttled").await.max(1).idle_shutdown_after(Idle::Never);
    let pool = pool.start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    app.account.fails("DescribeTasks", 2, "ThrottlingException", "Rate exceeded").await;
    app.account.fails("DescribeTasks", 1, "ServerException", "").await;
    let mut watcher = Watcher::new(&pool);
    app.account.kill().await;
    assert_eq!(watcher.lost().await, 0, "the death is seen nevertheless");
    pool.drain().await;
}

async fn a_throttled_stop_is_retried() {
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
