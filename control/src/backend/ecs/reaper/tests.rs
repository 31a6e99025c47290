use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::super::testing::{self, RecordedRequest};
use super::*;
use crate::backend::sweep::{ENDS_BY_TAG, PARENT_TAG, POOL_TAG, RUNNER_TAG, unix_now};

const TASK: &str = "arn:aws:ecs:eu-central-1:1:task/main";
const PAUSE: Duration = Duration::from_millis(20);

/// A runner that is as old, and whose lifetime ended as long ago, in seconds.
fn runner(id: &str, age: i64, overdue: i64) -> Value {
    let ends_by = (unix_now() - overdue).to_string();
    let tags = [(POOL_TAG, id), (RUNNER_TAG, "f-1"), (PARENT_TAG, "p-1"), (ENDS_BY_TAG, &ends_by)];
    json!({
        "taskArn": format!("{TASK}/{id}"), "lastStatus": "RUNNING", "desiredStatus": "RUNNING",
        "createdAt": unix_now() - age,
        "tags": tags.map(|(key, value)| json!({ "key": key, "value": value })),
    })
}

/// A reaper's report on a cluster with these tasks, each on a page of its own, and its requests.
async fn report(
    tasks: Vec<Value>,
    fails: impl Fn(&str, &Value) -> Option<&'static str> + Send + 'static,
) -> (Result<ReaperReport, ApiError>, UnboundedReceiver<RecordedRequest>) {
    let (monitor, requests) = testing::monitor(move |operation, body| {
        if let Some(error) = fails(operation, body) {
            return Err(error);
        }
        let task = |arn: &Value| tasks.iter().find(|task| task["taskArn"] == *arn).cloned();
        let page = body["nextToken"].as_str().map_or(0, |page| page.parse().unwrap());
        Ok(match operation {
            "ListTasks" => {
                let next = (page + 1 < tasks.len()).then(|| (page + 1).to_string());
                let arns: Vec<_> =
                    tasks.get(page).map(|task| &task["taskArn"]).into_iter().collect();
                json!({ "taskArns": arns, "nextToken": next })
            }
            "DescribeTasks" => {
                let arns = body["tasks"].as_array().unwrap();
                json!({ "tasks": arns.iter().filter_map(task).collect::<Vec<_>>(), "failures": [] })
            }
            _ => json!({ "task": {} }),
        })
    })
    .await;
    let reaper = EcsReaper::new("main").pause(PAUSE);
    (reaper.reap(monitor.api.clone()).await, requests)
}

/// The tasks that were stopped, and how often tasks were listed.
fn summary(mut requests: UnboundedReceiver<RecordedRequest>) -> (Vec<String>, usize) {
    let (mut stopped, mut lists) = (Vec::new(), 0);
    while let Ok((operation, body)) = requests.try_recv() {
        match operation.as_str() {
            "StopTask" => stopped.push(body["task"].as_str().unwrap().to_owned()),
            "ListTasks" => lists += 1,
            _ => {}
        }
    }
    (stopped, lists)
}

fn nothing_fails(_: &str, _: &Value) -> Option<&'static str> {
    None
}

#[tokio::test]
async fn the_old_orphans_of_all_pools_are_stopped_after_a_second_look() {
    let begin = Instant::now();
    let mut tasks = vec![
        runner("old", 3600, 400),
        runner("young", 60, 400),
        runner("in-time", 3600, 0),
        runner("other", 3600, 400),
    ];
    tasks.extend((0..20).map(|n| runner(&format!("in-time-{n}"), 3600, -60)));
    let (report, requests) = report(tasks, nothing_fails).await;
    let expected = ReaperReport { tasks: 24, orphans: 3, stopped: 2, ..ReaperReport::default() };
    assert_eq!(report, Ok(expected));
    let (stopped, lists) = summary(requests);
    assert_eq!(stopped, [format!("{TASK}/old"), format!("{TASK}/other")]);
    assert_eq!(lists, 24, "the second look does not list the cluster again");
    assert!(begin.elapsed() >= PAUSE);
}

#[tokio::test]
async fn without_orphans_there_is_no_second_look() {
    let (report, mut requests) = report(vec![runner("in-time", 3600, 0)], nothing_fails).await;
    assert_eq!(report, Ok(ReaperReport { tasks: 1, ..ReaperReport::default() }));
    let operations =
        std::iter::from_fn(|| requests.try_recv().ok()).map(|(operation, _)| operation);
    assert_eq!(operations.collect::<Vec<_>>(), ["ListTasks", "DescribeTasks"]);
}

#[tokio::test]
async fn a_task_that_is_gone_at_the_second_look_is_not_stopped() {
    let looks = std::sync::atomic::AtomicU32::new(0);
    let (monitor, requests) = testing::monitor(move |operation, _| {
        let task = runner("old", 3600, 400);
        Ok(match operation {
            "ListTasks" => json!({ "taskArns": [task["taskArn"]] }),
            "DescribeTasks" => match looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => json!({ "tasks": [task], "failures": [] }),
                _ => json!({ "tasks": [], "failures": [{ "arn": task["taskArn"], "reason": "MISSING" }] }),
            },
            _ => json!({ "task": {} }),
        })
    })
    .await;
    let report = EcsReaper::new("main").pause(PAUSE).reap(monitor.api.clone()).await;
    assert_eq!(report, Ok(ReaperReport { tasks: 1, ..ReaperReport::default() }));
    assert_eq!(summary(requests).0, [""; 0]);
}

#[tokio::test]
async fn a_failed_stop_is_counted_and_the_other_orphans_are_stopped() {
    let tasks = vec![runner("a", 3600, 400), runner("b", 3600, 400)];
    let (report, _) = report(tasks, |operation, body| {
        let is_a = operation == "StopTask" && body["task"] == format!("{TASK}/a");
        is_a.then_some("AccessDeniedException")
    })
    .await;
    let expected =
        ReaperReport { tasks: 2, orphans: 2, stopped: 1, failed: 1, ..ReaperReport::default() };
    assert_eq!(report, Ok(expected));
}

#[tokio::test]
async fn a_page_that_keeps_failing_makes_the_report_incomplete() {
    let tasks = vec![runner("a", 3600, 400), runner("b", 3600, 400)];
    let (report, _) = report(tasks, |operation, body| {
        (operation == "ListTasks" && body["nextToken"] == "1").then_some("ThrottlingException")
    })
    .await;
    let expected = ReaperReport {
        tasks: 1,
        orphans: 1,
        stopped: 1,
        is_incomplete: true,
        ..ReaperReport::default()
    };
    assert_eq!(report, Ok(expected));
}

#[tokio::test]
async fn a_cluster_that_cannot_be_listed_is_an_error() {
    let (report, _) = report(Vec::new(), |operation, _| {
        (operation == "ListTasks").then_some("ClusterNotFoundException")
    })
    .await;
    assert_eq!(report.unwrap_err().code.as_deref(), Some("ClusterNotFoundException"));
}
