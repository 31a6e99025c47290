use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::super::task::PARENT_TASK_TAG;
use super::super::testing::{self, RecordedRequest};
use super::*;
use crate::backend::sweep::PARENT_TAG;

/// The number of pages, of one task each.
const PAGE_COUNT: usize = 25;
const TASK: &str = "arn:aws:ecs:eu-central-1:1:task/main";
const PARENTS: &str = "arn:aws:ecs:eu-central-1:1:task/parents/1";

/// A page of the list, and the token of the next one.
fn page(body: &Value) -> Value {
    let from = body["nextToken"].as_str().map_or(0, |from| from.parse().unwrap());
    let next = (from + 1 < PAGE_COUNT).then(|| (from + 1).to_string());
    json!({ "taskArns": [format!("{TASK}/{from}")], "nextToken": next })
}

/// The requested tasks: old runners of a parent in another cluster.
fn described(body: &Value) -> Value {
    let tag = |(key, value)| json!({ "key": key, "value": value });
    let tags = [
        (POOL_TAG, "thumbs"),
        (RUNNER_TAG, "f-1"),
        (PARENT_TAG, "p-other"),
        (PARENT_TASK_TAG, PARENTS),
    ];
    let tags = tags.map(tag);
    let arns = body["tasks"].as_array().unwrap();
    let tasks = arns.iter().map(|arn| {
        json!({
            "taskArn": arn, "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "createdAt": 1,
            "tags": tags,
        })
    });
    json!({ "tasks": tasks.collect::<Vec<_>>(), "failures": [] })
}

/// The response about the parent's task, which ECS does not know.
fn missing() -> Value {
    json!({ "tasks": [], "failures": [{ "arn": PARENTS, "reason": "MISSING" }] })
}

async fn search(
    answer: impl Fn(&str, &Value) -> Option<Result<Value, &'static str>> + Send + 'static,
) -> (OrphanSearch, UnboundedReceiver<RecordedRequest>) {
    let (monitor, requests) = testing::monitor(move |operation, body| {
        answer(operation, body).unwrap_or_else(|| {
            Ok(match operation {
                "ListTasks" => page(body),
                _ if body["cluster"] == "parents" => missing(),
                _ => described(body),
            })
        })
    })
    .await;
    let (pool, parent) = (Some("thumbs".to_owned()), Some("p-me".to_owned()));
    let rule = Rule { pool, parent, age: Duration::ZERO, pause: Duration::ZERO };
    (OrphanSearch::new(monitor.api.clone(), Some("app".to_owned()), rule), requests)
}

/// The numbers of the pages that were requested since the last call.
fn pages(requests: &mut UnboundedReceiver<RecordedRequest>) -> Vec<usize> {
    let mut pages = Vec::new();
    while let Ok((operation, body)) = requests.try_recv() {
        if operation == "ListTasks" {
            pages.push(body["nextToken"].as_str().map_or(0, |from| from.parse().unwrap()));
        }
    }
    pages
}

/// The orphans that one scan stops, by the numbers of their pages.
async fn scan(search: &mut OrphanSearch) -> Vec<usize> {
    let orphans = search.scan(&|_| false).await.unwrap().orphans;
    let number = |orphan: &Orphan| orphan.arn.rsplit_once('/').unwrap().1.parse().unwrap();
    orphans.iter().map(number).collect()
}

fn once(
    target: &'static str,
    from: Option<&'static str>,
    error: &'static str,
) -> impl Fn(&str, &Value) -> Option<Result<Value, &'static str>> + Send + 'static {
    let pending = Mutex::new(Some(error));
    move |operation, body| {
        let matches = operation == target && body["nextToken"].as_str() == from;
        if matches { pending.lock().unwrap().take().map(Err) } else { None }
    }
}

#[tokio::test]
async fn a_scan_continues_the_list_where_the_last_scan_stopped() {
    let (mut search, mut requests) = search(|_, _| None).await;
    let rounds = [0..10, 10..20, 20..25];
    for numbers in rounds.clone() {
        assert_eq!(scan(&mut search).await, [0; 0], "a first scan stops nothing");
        assert_eq!(pages(&mut requests), numbers.collect::<Vec<_>>());
    }
    for numbers in rounds {
        let numbers: Vec<_> = numbers.collect();
        assert_eq!(scan(&mut search).await, numbers, "each page was scanned twice");
        assert_eq!(pages(&mut requests), numbers);
    }
}

#[tokio::test]
async fn a_page_that_fails_is_requested_again_without_the_earlier_ones() {
    let throttled = once("ListTasks", Some("3"), "ThrottlingException");
    let (mut search, mut requests) = search(throttled).await;
    scan(&mut search).await;
    assert_eq!(pages(&mut requests), [0, 1, 2, 3]);
    assert_eq!(search.next_page.as_deref(), Some("3"));
    scan(&mut search).await;
    assert_eq!(pages(&mut requests), (3..13).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_expired_page_token_restarts_the_list() {
    let expired = once("ListTasks", Some("10"), "InvalidParameterException");
    let (mut search, mut requests) = search(expired).await;
    scan(&mut search).await;
    scan(&mut search).await;
    scan(&mut search).await;
    let numbers = pages(&mut requests);
    assert_eq!(numbers[10..12], [10, 0]);
}

#[tokio::test]
async fn tasks_that_cannot_be_described_do_not_hide_the_others() {
    let (mut search, _requests) = search(|operation, body| {
        let fails = operation == "DescribeTasks" && body["tasks"][0] == format!("{TASK}/2");
        fails.then_some(Err("ServerException"))
    })
    .await;
    for _ in 0..3 {
        scan(&mut search).await;
    }
    assert_eq!(scan(&mut search).await, [0, 1, 3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn without_permission_to_look_parents_up_no_runner_of_theirs_is_stopped() {
    let (mut search, _requests) =
        search(|_, body| (body["cluster"] == "parents").then_some(Err("AccessDeniedException")))
            .await;
    for _ in 0..6 {
        assert_eq!(scan(&mut search).await, [0; 0]);
        assert!(search.denied);
    }
}

#[tokio::test]
async fn a_missing_permission_to_list_tasks_is_reported() {
    let (mut search, _requests) = search(once("ListTasks", None, "AccessDeniedException")).await;
    assert!(error_class::is_denied(&search.scan(&|_| false).await.unwrap_err()));
}

#[test]
fn a_tasks_arn_names_its_cluster() {
    assert_eq!(cluster_of("arn:aws:ecs:eu-central-1:1:task/main/0f"), Some("main"));
    assert_eq!(cluster_of("arn:aws:ecs:eu-central-1:1:task/0f"), None, "the old format");
}
