//! Metrics of real tasks, in the emulator's CloudWatch.

use std::collections::BTreeSet;
use std::time::Duration;

use flame_aws::metrics::{CloudWatch, SinkError, SinkHandle};
use flame_tests::emulator::{EcsApp, Metrics};
use flame_tests::metrics::{OF_AWS, SeenSeries, cloudwatch_names, of_process};
use flame_tests::{Test, demo, emulated, tests, until};

pub(crate) fn tests() -> Vec<Test> {
    emulated(tests![
        the_values_in_cloudwatch_are_those_of_the_pool,
        a_throttled_request_loses_nothing_and_counts_nothing_twice,
        a_request_without_an_answer_is_repeated,
        a_denied_request_waits_until_the_permission_is_there,
        each_metric_of_aws_is_emitted_by_a_real_scenario,
    ])
}

const NAMESPACE: &str = "Flame/tests";
const THREE: u32 = 3;

/// A sink for the account of an app. Its period is longer than any test, so it sends when a test
/// flushes it.
async fn sink(app: &EcsApp) -> SinkHandle {
    let sink = CloudWatch::new("suite").namespace(NAMESPACE).period(Duration::from_secs(3600));
    sink.sdk_config(app.account.sdk().await).start().await.unwrap()
}

/// Makes three calls in a pool of this name, and drains it.
async fn three_calls(app: &EcsApp, name: &str) {
    let pool = app.pool(name).await.max(1).start().await.unwrap();
    for n in 0..THREE {
        assert_eq!(pool.call(demo::double(n)).await.unwrap(), 2 * n);
    }
    // The backend learns of the parts of a boot by its next poll.
    let mut seen = SeenSeries::default();
    until("ECS has reported the parts of the boot", || {
        seen.look(&[name]);
        seen.0.contains(&("flame.boot.duration", Some("start")))
    })
    .await;
    let costs = pool.costs();
    assert!(costs.total > 0.0 && costs.per_hour > 0.0, "{costs}");
    pool.drain().await;
}

/// The number of calls that were ok, with and without the dimension `Backend`.
async fn calls(app: &EcsApp, pool: &str) -> [Option<f64>; 2] {
    let metrics = Metrics::of(&app.account, NAMESPACE).await;
    let dimensions = [("App", "suite"), ("Pool", pool), ("Backend", "ecs")];
    [
        metrics.get("flame.calls.ok", &dimensions[..2], "Sum").await,
        metrics.get("flame.calls.ok", &dimensions, "Sum").await,
    ]
}

async fn the_values_in_cloudwatch_are_those_of_the_pool() {
    let app = EcsApp::new().await;
    let sink = sink(&app).await;
    three_calls(&app, "valued").await;
    sink.flush().await.unwrap();
    assert_eq!(calls(&app, "valued").await, [Some(3.0), Some(3.0)]);
    let metrics = Metrics::of(&app.account, NAMESPACE).await;
    let dimensions = [("App", "suite"), ("Pool", "valued"), ("Backend", "ecs")];
    let get = async |name: &str, stat: &str| metrics.get(name, &dimensions, stat).await;
    assert_eq!(get("flame.call.duration.run", "SampleCount").await, Some(3.0));
    assert_eq!(get("flame.runner.exits.pool_drain", "Sum").await, Some(1.0));
    assert_eq!(get("flame.runners.idle", "Maximum").await, Some(0.0), "the pool has drained");
    assert_eq!(get("flame.calls.timeout", "Sum").await, None, "nothing has happened");
    // ECS reports the parts of a boot.
    for phase in ["request", "provision", "pull", "start", "connect"] {
        let name = format!("flame.boot.duration.{phase}");
        assert_eq!(get(&name, "SampleCount").await, Some(1.0), "{phase}");
    }
    // 0.25 vCPUs and 0.5 GB for the minimum of a minute.
    let cost = get("flame.cost.estimated", "Sum").await.unwrap();
    let minute = (0.25 * 0.04048 + 0.5 * 0.004_445) / 60.0;
    assert!((minute - 1e-9..minute * 1.5).contains(&cost), "{cost} and {minute}");

    let (known, allowed) = (cloudwatch_names(), ["App", "App Pool", "App Pool Backend"]);
    for (name, dimensions) in metrics.names().await {
        assert!(known.contains(&name), "{name} is not in the table");
        assert!(allowed.contains(&&*dimensions.join(" ")), "{name} has {dimensions:?}");
    }
}

async fn a_throttled_request_loses_nothing_and_counts_nothing_twice() {
    let app = EcsApp::new().await;
    let sink = sink(&app).await;
    three_calls(&app, "throttled").await;
    app.account.fails("PutMetricData", 3, "ThrottlingException", "Rate exceeded").await;
    sink.flush().await.unwrap();
    assert_eq!(app.account.count("PutMetricData").await, 4);
    three_calls(&app, "throttled").await;
    sink.flush().await.unwrap();
    assert_eq!(calls(&app, "throttled").await, [Some(6.0), Some(6.0)]);
}

async fn a_request_without_an_answer_is_repeated() {
    let app = EcsApp::new().await;
    let sink = sink(&app).await;
    three_calls(&app, "unanswered").await;
    app.account.fault(serde_json::json!({ "target": "PutMetricData", "reset": true })).await;
    sink.flush().await.unwrap();
    assert_eq!(calls(&app, "unanswered").await, [Some(3.0), Some(3.0)]);
}

async fn a_denied_request_waits_until_the_permission_is_there() {
    let app = EcsApp::new().await;
    let sink = sink(&app).await;
    three_calls(&app, "denied").await;
    app.account.fails("PutMetricData", 1000, "AccessDenied", "not authorized").await;
    let denied = sink.flush().await;
    assert!(matches!(denied, Err(SinkError::NotFlushed { waiting: 1.. })), "{denied:?}");
    assert_eq!(calls(&app, "denied").await, [None, None]);
    app.account.heal().await;
    sink.flush().await.unwrap();
    assert_eq!(calls(&app, "denied").await, [Some(3.0), Some(3.0)]);
}

async fn each_metric_of_aws_is_emitted_by_a_real_scenario() {
    let app = EcsApp::new().await;
    let sink = sink(&app).await;
    let mut seen = SeenSeries::default();
    let interval = Duration::from_millis(300);
    let backend = app.backend().await.sweep(interval, Duration::from_secs(1));
    let pool = app.pool_of("of-aws", backend).max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let tags = [
        ("flame:pool", "of-aws"),
        ("flame:runner", "f-00000000000000000000000000000000"),
        ("flame:parent", "p-another"),
        ("flame:ends-by", "1"),
    ];
    let overdue = app.run(&[("DEMO_PROGRAM", "sleeps")], &tags).await;
    app.until_stopped(&overdue).await;
    until("the orphan is counted", || {
        seen.look(&["of-aws"]);
        seen.names().contains("flame.orphans.stopped")
    })
    .await;
    pool.drain().await;

    let dropped = of_process("flame.metrics.dropped");
    app.account.fails("PutMetricData", 1, "InvalidParameterValueException", "no such unit").await;
    sink.flush().await.unwrap();
    assert_eq!(calls(&app, "of-aws").await, [None, None], "CloudWatch has rejected them");
    assert!(of_process("flame.metrics.dropped") > dropped);
    // What was dropped is counted in the next period.
    sink.flush().await.unwrap();
    let metrics = Metrics::of(&app.account, NAMESPACE).await;
    let sent = metrics.get("flame.metrics.dropped", &[("App", "suite")], "Sum").await;
    assert!(sent.is_some_and(|sent| sent > 0.0), "{sent:?}");

    let mut names = seen.names();
    names.insert("flame.metrics.dropped");
    let missing: BTreeSet<_> = OF_AWS.iter().filter(|name| !names.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
