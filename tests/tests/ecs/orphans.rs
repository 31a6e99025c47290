//! Tasks that nobody would ever stop, and those that only look so.

use std::time::Duration;

use flame_tests::emulator::EcsApp;
use flame_tests::{Test, demo, emulated, tests};

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![a_stray_of_this_parent_and_one_beyond_its_lifetime_are_swept];
    let here = tests![
        an_orphan_is_swept_when_its_parents_task_has_stopped_and_nothing_else_is,
        a_sweep_that_is_not_allowed_hurts_nothing,
    ];
    [anywhere, emulated(here)].concat()
}

const EVERY: Duration = Duration::from_millis(300);

/// The runners of a parent that is a task itself, by their ARNs.
async fn runners_of(app: &EcsApp, parent: &str) -> Vec<String> {
    let tasks = app.tasks().await;
    let is_its = |task: &&aws_sdk_ecs::types::Task| {
        let tagged = |tag: &aws_sdk_ecs::types::Tag| {
            tag.key() == Some("flame:parent-task") && tag.value() == Some(parent)
        };
        task.tags().iter().any(tagged)
    };
    let its = tasks.iter().filter(is_its);
    its.filter_map(|task| task.task_arn().map(str::to_owned)).collect()
}

async fn status(app: &EcsApp, arn: &str) -> String {
    let tasks = app.tasks().await;
    let task = tasks.iter().find(|task| task.task_arn() == Some(arn)).unwrap();
    task.desired_status().unwrap().to_owned()
}

/// A parent that is a task, with one runner that hangs before it gets to `App::run`, where all
/// the timers of a runner are. All its settings are those of its own task.
async fn parent(app: &EcsApp) -> (String, String) {
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

async fn an_orphan_is_swept_when_its_parents_task_has_stopped_and_nothing_else_is() {
    let app = EcsApp::new().await;
    let (dead, orphan) = parent(&app).await;
    let (alive, cared_for) = parent(&app).await;
    let untagged = app.run(&[("DEMO_HANG_IN_BOOT", "1"), ("DEMO_PROGRAM", "sleeps")], &[]).await;

    let sweeper = app.backend().await.sweep(EVERY, Duration::from_secs(1));
    let pool = app.pool_of("swept", sweeper).max(1).start().await.unwrap();
    let own = pool.call(demo::pid()).await.unwrap();

    let stopping = app.client.stop_task().cluster(EcsApp::CLUSTER).task(&dead).send().await;
    stopping.unwrap();
    app.until_stopped(&dead).await;
    let stopped = app.until_stopped(&orphan).await;
    let reason = stopped.stopped_reason().unwrap_or_default();
    assert!(reason.contains("orphan"), "{reason}");

    // Some more looks, and all others live.
    let looks = app.account.count("ListTasks").await;
    while app.account.count("ListTasks").await < looks + 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for arn in [&alive, &cared_for, &untagged] {
        assert_eq!(status(&app, arn).await, "RUNNING");
    }
    assert_eq!(pool.call(demo::pid()).await.unwrap(), own);
    pool.drain().await;
    for arn in [&alive, &cared_for, &untagged] {
        let stopped = app.client.stop_task().cluster(EcsApp::CLUSTER).task(arn.as_str()).send();
        stopped.await.unwrap();
    }
    app.until_nothing_runs().await;
}

async fn a_sweep_that_is_not_allowed_hurts_nothing() {
    let app = EcsApp::new().await;
    app.account.fails("ListTasks", 1_000, "AccessDeniedException", "not authorized").await;
    let backend = app.backend().await.sweep(EVERY, Duration::from_secs(1));
    let pool = app.pool_of("swept", backend).max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(4)).await.unwrap(), 8);
    pool.drain().await;
    assert_eq!(app.account.count("ListTasks").await, 1, "it is not tried again");
}

async fn a_stray_of_this_parent_and_one_beyond_its_lifetime_are_swept() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.sweep(EVERY, Duration::from_secs(1));
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
    let others = [of_pool, runner, ("flame:parent", "p-somebody-elses")];
    let overdue = [others.as_slice(), &[("flame:ends-by", "1")]].concat();
    let overdue = app.run(&hangs, &overdue).await;
    let unknown = app.run(&hangs, &others).await;

    let stopped = app.until_stopped(&stray).await;
    assert!(stopped.stopped_reason().unwrap().contains("stray"), "{stopped:?}");
    let stopped = app.until_stopped(&overdue).await;
    assert!(stopped.stopped_reason().unwrap().contains("lifetime"), "{stopped:?}");
    assert_eq!(status(&app, &unknown).await, "RUNNING", "its parent may live");
    assert_eq!(pool.call(demo::pid()).await.unwrap(), own);
    pool.drain().await;
    let stopped = app.client.stop_task().cluster(EcsApp::CLUSTER).task(unknown).send().await;
    stopped.unwrap();
    app.until_nothing_runs().await;
}
