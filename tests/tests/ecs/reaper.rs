//! The Lambda function `flame-reaper`, in the same account as the tasks that it stops.

use flame_tests::emulator::{EcsApp, Function};
use flame_tests::{Test, demo, on_generic_runners, reaper, tests};
use serde_json::{Value, json};

use super::orphans::{parent, status};

pub(crate) fn tests() -> Vec<Test> {
    on_generic_runners(tests![
        the_reaper_stops_the_orphans_of_all_pools_and_no_other_task,
        the_reaper_spares_young_orphans,
        a_reaper_that_may_not_stop_a_task_fails_and_says_why,
        a_reaper_that_may_not_list_tasks_fails_and_names_the_action,
    ])
}

/// A cluster with its reaper.
struct ReapedCluster {
    app: EcsApp,
    function: Function,
}

impl ReapedCluster {
    /// A cluster in which tasks of this age count as old, in seconds.
    async fn new(min_age: &str) -> Self {
        let variables = [
            ("FLAME_REAPER_CLUSTER", EcsApp::CLUSTER),
            ("FLAME_REAPER_MIN_AGE_SECONDS", min_age),
            ("FLAME_REAPER_PAUSE_SECONDS", "1"),
        ];
        let function = Function::of_program(&reaper().await, &variables).await;
        Self { app: EcsApp::make(function.account.clone()).await, function }
    }

    /// A task that hangs, with the tags of a runner whose lifetime is over.
    async fn overdue_task(&self) -> String {
        let tags = [
            ("flame:pool", "a pool that is gone"),
            ("flame:runner", "f-00000000000000000000000000000000"),
            ("flame:parent", "p-another"),
            ("flame:ends-by", "1"),
        ];
        self.app.run(&[("DEMO_PROGRAM", "sleeps")], &tags).await
    }

    /// Invokes the reaper with the event of a schedule. Returns whether it failed, and its answer.
    async fn reap(&self) -> (bool, Value) {
        let event = json!({ "source": "aws.scheduler", "detail-type": "Scheduled Event" });
        let (failed, answer) = self.function.invoke(&event.to_string()).await;
        (failed, serde_json::from_str(&answer).unwrap())
    }

    async fn stop(&self, arn: &str) {
        let stopping = self.app.client.stop_task().cluster(EcsApp::CLUSTER).task(arn).send().await;
        stopping.unwrap();
        self.app.until_stopped(arn).await;
    }
}

async fn the_reaper_stops_the_orphans_of_all_pools_and_no_other_task() {
    let cluster = ReapedCluster::new("0").await;
    let app = &cluster.app;
    let (dead, orphan) = parent(app).await;
    let (alive, owned) = parent(app).await;
    let overdue = cluster.overdue_task().await;
    let untagged = app.run(&[("DEMO_PROGRAM", "sleeps")], &[]).await;
    let pool = app.pool("live").await.max(1).start().await.unwrap();
    let own = pool.call(demo::pid()).await.unwrap();
    cluster.stop(&dead).await;

    let (failed, answer) = cluster.reap().await;
    assert!(!failed, "{answer}");
    assert_eq!(answer, json!({ "tasks": 6, "orphans": 2, "stopped": 2, "incomplete": false }));
    for (arn, why) in [(&orphan, "its parent has stopped"), (&overdue, "max_lifetime")] {
        let stopped = app.until_stopped(arn).await;
        assert!(stopped.stopped_reason().unwrap_or_default().contains(why), "{stopped:?}");
    }
    for arn in [&alive, &owned, &untagged] {
        assert_eq!(status(app, arn).await, "RUNNING");
    }
    assert_eq!(pool.call(demo::pid()).await.unwrap(), own);
    let log = cluster.function.log().await;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let stopped: Vec<_> = lines.filter(|line| line.get("task").is_some()).collect();
    assert_eq!(stopped.len(), 2, "{log}");
    let line = stopped.iter().find(|line| line["task"] == overdue.as_str()).unwrap();
    assert_eq!(line["pool"], "a pool that is gone");
    assert!(line["runner"].as_str().unwrap().starts_with("f-"), "{line}");

    let (failed, answer) = cluster.reap().await;
    assert!(!failed, "{answer}");
    assert_eq!(answer, json!({ "tasks": 4, "orphans": 0, "stopped": 0, "incomplete": false }));
    pool.drain().await;
    for arn in [&owned, &alive, &untagged] {
        cluster.stop(arn).await;
    }
}

async fn the_reaper_spares_young_orphans() {
    let cluster = ReapedCluster::new("3600").await;
    let young = cluster.overdue_task().await;
    let (failed, answer) = cluster.reap().await;
    assert!(!failed, "{answer}");
    assert_eq!(answer, json!({ "tasks": 1, "orphans": 1, "stopped": 0, "incomplete": false }));
    assert_eq!(status(&cluster.app, &young).await, "RUNNING");
    cluster.stop(&young).await;
}

async fn a_reaper_that_may_not_stop_a_task_fails_and_says_why() {
    let cluster = ReapedCluster::new("0").await;
    let overdue = cluster.overdue_task().await;
    let denial = "User: arn:aws:sts::1:x is not authorized to perform: ecs:StopTask";
    cluster.app.account.fails("StopTask", 1, "AccessDeniedException", denial).await;
    let (failed, answer) = cluster.reap().await;
    assert!(failed, "{answer}");
    assert_eq!(answer["errorType"], "NotStopped");
    let log = cluster.function.log().await;
    assert!(log.contains("ecs:StopTask") && log.contains(&overdue), "{log}");
    // The next invocation, in the same environment.
    let (failed, answer) = cluster.reap().await;
    assert!(!failed, "{answer}");
    assert_eq!(answer["stopped"], 1);
    cluster.app.until_stopped(&overdue).await;
}

async fn a_reaper_that_may_not_list_tasks_fails_and_names_the_action() {
    let cluster = ReapedCluster::new("0").await;
    let denial = "User: arn:aws:sts::1:x is not authorized to perform: ecs:ListTasks";
    cluster.app.account.fails("ListTasks", 1, "AccessDeniedException", denial).await;
    let (failed, answer) = cluster.reap().await;
    assert!(failed, "{answer}");
    assert_eq!(answer["errorType"], "SearchFailed");
    let message = answer["errorMessage"].as_str().unwrap();
    assert!(message.contains("ecs:ListTasks") && message.contains("main"), "{message}");
}
