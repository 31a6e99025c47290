//! Orphaned tasks, which the sweep stops, and tasks that it must not stop.

use std::time::Duration;

use flame_tests::emulator::EcsApp;
use flame_tests::{Test, demo, emulated, tests};

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![a_stray_task_and_an_overdue_one_are_stopped];
    let here = tests![
        the_orphan_of_a_stopped_parent_is_stopped_and_no_other_task_is,
        a_sweep_without_permission_does_no_harm,
    ];
    [anywhere, emulated(here)].concat()
}

const SWEEP_INTERVAL: Duration = Duration::from_millis(300);

/// The ARNs of the runners of a parent that is an ECS task.
async fn runners_of(app: &EcsApp, parent: &str) -> Vec<String> {
    let tasks = app.tasks().await;
    let is_its = |task: &&aws_sdk_ecs::types::Task| {
        let tagged = |tag: &aws_sdk_ecs::types::Tag| {
            tag.key() == Some("flame:parent-task") && tag.value() == Some(parent)
        };
        task.tags().iter().any(tagged)
    };
    let runners = tasks.iter().filter(is_its);
    runners.filter_map(|task| task.task_arn().map(str::to_owned)).collect()
}

pub(crate) async fn status(app: &EcsApp, arn: &str) -> String {
    let tasks = app.tasks().await;
    let task = tasks.iter().find(|task| task.task_arn() == Some(arn)).unwrap();
    task.desired_status().unwrap().to_owned()
}

/// Starts a parent that is an ECS task, with one runner that hangs before `App::run`, and so before
/// it has any timer. All settings come from the parent's own task. Returns both ARNs.
pub(crate) async fn parent(app: &EcsApp) -> (String, String) {
    let parent = app.run(&[("DEMO_PROGRAM", "ecs_parent")], &[]).await;
    let waiting = async {
        loop {
            if let [runner] = runners_of(app, &parent).await.as_slice() {
                return runner.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let runner = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    let runner = runner.unwrap_or_else(|_| panic!("{}", flame_tests::emulator::log()));
    (parent, runner)
}

async fn the_orphan_of_a_stopped_parent_is_stopped_and_no_other_task_is() {
    let app = EcsApp::new().await;
    let (dead, orphan) = parent(&app).await;
    let (alive, owned) = parent(&app).await;
    let untagged = app.run(&[("DEMO_HANG_IN_BOOT", "1"), ("DEMO_PROGRAM", "sleeps")], &[]).await;

    let sweeper = app.backend().await.sweep(SWEEP_INTERVAL, Duration::from_secs(1));
    let pool = app.pool_of("swept", sweeper).max(1).start().await.unwrap();
    let own = pool.call(demo::pid()).await.unwrap();

    let stopping = app.client.stop_task().cluster(EcsApp::CLUSTER).task(&dead).send().await;
    stopping.unwrap();
    app.until_stopped(&dead).await;
    let stopped = app.until_stopped(&orphan).await;
    let reason = stopped.stopped_reason().unwrap_or_default();
    assert!(reason.contains("orphan"), "{reason}");

    // After some more scans all other tasks still run.
    let scans = app.account.count("ListTasks").await;
    while app.account.count("ListTasks").await < scans + 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for arn in [&alive, &owned, &untagged] {
        assert_eq!(status(&app, arn).await, "RUNNING");
    }
    assert_eq!(pool.call(demo::pid()).await.unwrap(), own);
    pool.drain().await;
    for arn in [&alive, &owned, &untagged] {
        let stopped = app.client.stop_task().cluster(EcsApp::CLUSTER).task(arn.as_str()).send();
        stopped.await.unwrap();
    }
    app.until_nothing_runs().await;
}

async fn a_sweep_without_permission_does_no_harm() {
    let app = EcsApp::new().await;
    app.account.fails("ListTasks", 1_000, "AccessDeniedException", "not authorized").await;
    let backend = app.backend().await.sweep(SWEEP_INTERVAL, Duration::from_secs(1));
    let pool = app.pool_of("swept", backend).max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(4)).await.unwrap(), 8);
    pool.drain().await;
    assert_eq!(app.account.count("ListTasks").await, 1, "the sweep is not retried");
}

async fn a_stray_task_and_an_overdue_one_are_stopped() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.sweep(SWEEP_INTERVAL, Duration::from_secs(1));
    let pool = app.pool_of("swept", backend).max(1).start().await.unwrap();
    let own = pool.call(demo::pid()).await.unwrap();
    let tasks = app.tasks().await;
    let tags = tasks[0].tags();
    let parent = tags.iter().find(|tag| tag.key() == Some("flame:parent")).unwrap();
    let parent = parent.value().unwrap();

    let hangs = [("DEMO_PROGRAM", "sleeps")];
    let of_pool = ("flame:pool", "swept");
    let runner = ("flame:runner", "f-00000000000000000000000000000000");
    let stray = app.run(&hangs, &[of_pool, runner, ("flame:parent", parent)]).await;
    let others = [of_pool, runner, ("flame:parent", "p-another")];
    let overdue = [others.as_slice(), &[("flame:ends-by", "1")]].concat();
    let overdue = app.run(&hangs, &overdue).await;
    let unknown = app.run(&hangs, &others).await;

    let stopped = app.until_stopped(&stray).await;
    assert!(stopped.stopped_reason().unwrap().contains("stray"), "{stopped:?}");
    let stopped = app.until_stopped(&overdue).await;
    assert!(stopped.stopped_reason().unwrap().contains("max_lifetime"), "{stopped:?}");
    assert_eq!(status(&app, &unknown).await, "RUNNING", "its parent may be alive");
    assert_eq!(pool.call(demo::pid()).await.unwrap(), own);
    pool.drain().await;
    let stopped = app.client.stop_task().cluster(EcsApp::CLUSTER).task(unknown).send().await;
    stopped.unwrap();
    app.until_nothing_runs().await;
}
