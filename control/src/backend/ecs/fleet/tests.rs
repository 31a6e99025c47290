use futures_util::FutureExt;
use serde_json::json;
use tokio::time::{advance, pause, resume};

use super::super::testing::{self, EVERY};
use super::*;

const ARN: &str = "arn:aws:ecs:eu-central-1:1:task/main/1";

#[tokio::test]
async fn a_task_that_is_given_up_because_nobody_knows_it_is_stopped_all_the_same() {
    let (fleet, mut heard) = testing::fleet(|_, _| Ok(json!({}))).await;
    pause();
    fleet.insert(ARN);
    let mut death = fleet.tasks.watch(&Instance::new(ARN));
    let missing = || Ok((Vec::new(), vec![ARN.to_owned()]));
    advance(Duration::from_secs(61)).await;
    fleet.answered(missing());
    advance(EVERY.up / 2).await;
    fleet.answered(missing());
    assert!((&mut death).now_or_never().is_none(), "it may only have been missed");
    advance(EVERY.up / 2).await;
    fleet.answered(missing());
    let death = death.now_or_never().expect("it is given up");
    assert!(death.reason.contains("does not know it"), "{death:?}");
    resume();
    let (operation, body) = heard.recv().await.unwrap();
    assert_eq!((operation.as_str(), &body["task"]), ("StopTask", &json!(ARN)));
    // Its pool need not do so again.
    fleet.stop(ARN, "it is over").await.unwrap();
    assert!(heard.try_recv().is_err());
}
