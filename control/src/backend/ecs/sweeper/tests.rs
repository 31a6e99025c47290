use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::super::sweep::{PARENT, PARENT_TASK, POOL, RUNNER};
use super::super::testing::{self, Request};
use super::*;

/// How many pages of one task each there are.
const ALL: usize = 25;
const TASK: &str = "arn:aws:ecs:eu-central-1:1:task/main";
const PARENTS: &str = "arn:aws:ecs:eu-central-1:1:task/parents/1";

/// A page, and where the next one begins.
fn page(body: &Value) -> Value {
    let from = body["nextToken"].as_str().map_or(0, |from| from.parse().unwrap());
    let next = (from + 1 < ALL).then(|| (from + 1).to_string());
    json!({ "taskArns": [format!("{TASK}/{from}")], "nextToken": next })
}

/// Those that were asked for: old runners of a parent in another cluster.
fn described(body: &Value) -> Value {
    let tag = |(key, value)| json!({ "key": key, "value": value });
    let tags = [(POOL, "thumbs"), (RUNNER, "f-1"), (PARENT, "p-other"), (PARENT_TASK, PARENTS)];
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

/// What ECS says of the parents' task when its pool is asked after.
fn missing() -> Value {
    json!({ "tasks": [], "failures": [{ "arn": PARENTS, "reason": "MISSING" }] })
}

async fn sweeper(
    answer: impl Fn(&str, &Value) -> Option<Result<Value, &'static str>> + Send + 'static,
) -> (Sweeper, UnboundedReceiver<Request>) {
    let (fleet, heard) = testing::fleet(move |operation, body| {
        answer(operation, body).unwrap_or_else(|| {
            Ok(match operation {
                "ListTasks" => page(body),
                _ if body["cluster"] == "parents" => missing(),
                _ => described(body),
            })
        })
    })
    .await;
    let (pool, parent) = ("thumbs".to_owned(), "p-me".to_owned());
    let rule = Rule { pool, parent, age: Duration::ZERO, pause: Duration::ZERO };
    (Sweeper::new(fleet, "app".to_owned(), rule), heard)
}

/// Where the pages began that were asked for since the last time.
fn asked(heard: &mut UnboundedReceiver<Request>) -> Vec<usize> {
    let mut asked = Vec::new();
    while let Ok((operation, body)) = heard.try_recv() {
        if operation == "ListTasks" {
            asked.push(body["nextToken"].as_str().map_or(0, |from| from.parse().unwrap()));
        }
    }
    asked
}

/// The orphans of a look, by the numbers of their pages.
async fn look(sweeper: &mut Sweeper) -> Vec<usize> {
    let orphans = sweeper.look().await.unwrap();
    let number = |(arn, _): &(String, _)| arn.rsplit_once('/').unwrap().1.parse().unwrap();
    orphans.iter().map(number).collect()
}

fn once(
    target: &'static str,
    from: Option<&'static str>,
    error: &'static str,
) -> impl Fn(&str, &Value) -> Option<Result<Value, &'static str>> + Send + 'static {
    let left = Mutex::new(Some(error));
    move |operation, body| {
        let hit = operation == target && body["nextToken"].as_str() == from;
        if hit { left.lock().unwrap().take().map(Err) } else { None }
    }
}

#[tokio::test]
async fn a_list_longer_than_a_look_is_gone_on_with_by_the_next() {
    let (mut sweeper, mut heard) = sweeper(|_, _| None).await;
    let rounds = [0..10, 10..20, 20..25];
    for numbers in rounds.clone() {
        assert_eq!(look(&mut sweeper).await, [0; 0], "a first look stops nothing");
        assert_eq!(asked(&mut heard), numbers.collect::<Vec<_>>());
    }
    for numbers in rounds {
        let numbers: Vec<_> = numbers.collect();
        assert_eq!(look(&mut sweeper).await, numbers, "each had its second look");
        assert_eq!(asked(&mut heard), numbers);
    }
}

#[tokio::test]
async fn a_page_that_fails_is_asked_for_again_and_costs_the_others_nothing() {
    let throttled = once("ListTasks", Some("3"), "ThrottlingException");
    let (mut sweeper, mut heard) = sweeper(throttled).await;
    look(&mut sweeper).await;
    assert_eq!(asked(&mut heard), [0, 1, 2, 3]);
    assert_eq!(sweeper.from.as_deref(), Some("3"));
    look(&mut sweeper).await;
    assert_eq!(asked(&mut heard), (3..13).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_place_in_the_list_that_is_too_old_begins_it_anew() {
    let expired = once("ListTasks", Some("10"), "InvalidParameterException");
    let (mut sweeper, mut heard) = sweeper(expired).await;
    look(&mut sweeper).await;
    look(&mut sweeper).await;
    look(&mut sweeper).await;
    let asked = asked(&mut heard);
    assert_eq!(asked[10..12], [10, 0]);
}

#[tokio::test]
async fn tasks_that_can_not_be_looked_at_cost_the_others_nothing() {
    let (mut sweeper, _heard) = sweeper(|operation, body| {
        let bad = operation == "DescribeTasks" && body["tasks"][0] == format!("{TASK}/2");
        bad.then_some(Err("ServerException"))
    })
    .await;
    for _ in 0..3 {
        look(&mut sweeper).await;
    }
    assert_eq!(look(&mut sweeper).await, [0, 1, 3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn who_may_not_ask_after_parents_stops_none_of_their_runners_and_says_so_once() {
    let (mut sweeper, _heard) =
        sweeper(|_, body| (body["cluster"] == "parents").then_some(Err("AccessDeniedException")))
            .await;
    for _ in 0..6 {
        assert_eq!(look(&mut sweeper).await, [0; 0]);
        assert!(sweeper.denied);
    }
}

#[tokio::test]
async fn who_may_not_list_is_told() {
    let (mut sweeper, _heard) = sweeper(once("ListTasks", None, "AccessDeniedException")).await;
    assert!(class::is_denied(&sweeper.look().await.unwrap_err()));
}

#[test]
fn a_tasks_arn_names_its_cluster() {
    assert_eq!(cluster_of("arn:aws:ecs:eu-central-1:1:task/main/0f"), Some("main"));
    assert_eq!(cluster_of("arn:aws:ecs:eu-central-1:1:task/0f"), None, "the old format");
}
