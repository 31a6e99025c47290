use futures_util::FutureExt;
use serde_json::json;
use tokio::time::{advance, pause, resume};

use super::super::testing::{self, INTERVALS};
use super::*;

const ARN: &str = "arn:aws:ecs:eu-central-1:1:task/main/1";

#[tokio::test]
async fn a_task_that_ecs_no_longer_knows_is_reported_dead_and_stopped() {
    let (monitor, mut requests) = testing::monitor(|_, _| Ok(json!({}))).await;
    pause();
    monitor.insert(ARN);
    let mut death = monitor.tasks.watch(&Instance::new(ARN));
    let missing = || Ok((Vec::new(), vec![ARN.to_owned()]));
    advance(Duration::from_secs(61)).await;
    monitor.answered(missing());
    advance(INTERVALS.up / 2).await;
    monitor.answered(missing());
    assert!((&mut death).now_or_never().is_none(), "ECS may only lag behind");
    advance(INTERVALS.up / 2).await;
    monitor.answered(missing());
    let death = death.now_or_never().expect("the task is given up");
    assert!(death.reason.contains("no longer knows it"), "{death:?}");
    resume();
    let (operation, body) = requests.recv().await.unwrap();
    assert_eq!((operation.as_str(), &body["task"]), ("StopTask", &json!(ARN)));
    // A later stop by the pool makes no request.
    monitor.stop(ARN, "flame: stopped by its pool").await.unwrap();
    assert!(requests.try_recv().is_err());
}
