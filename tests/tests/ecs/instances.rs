//! Runners on EC2 instances: capacity providers other than Fargate's.

use std::collections::BTreeMap;

use flame_aws::backend::EcsBuilder;
use flame_aws::{BootFailureKind, PoolError, Size};
use flame_tests::emulator::EcsApp;
use flame_tests::{Test, demo, emulated, tests};
use serde_json::json;

use crate::boots::{SECOND, drain_clean, failure};

pub(crate) fn tests() -> Vec<Test> {
    emulated(tests![
        calls_run_on_the_instances_of_a_capacity_provider,
        the_size_of_a_pool_reaches_its_tasks_on_instances,
        the_first_runners_fill_the_base_of_a_provider,
        instances_without_room_are_a_lack_of_capacity_and_a_constraint_is_a_misconfiguration,
        a_pool_on_fargate_rejects_gpus_at_its_start,
    ])
}

/// A backend whose tasks run on instances. It has no subnets, since they use their instance's network.
async fn on_instances(app: &EcsApp, providers: &[(&str, u32, u32)]) -> EcsBuilder {
    let names: Vec<_> = providers.iter().map(|(name, ..)| *name).collect();
    app.make_instances(&names).await;
    let backend = app.backend().await.subnets([""; 0]);
    let backend = backend.cluster(EcsApp::INSTANCES).task_definition(EcsApp::INSTANCES);
    providers.iter().fold(backend, |backend, (name, weight, base)| {
        backend.capacity_provider_with_base(*name, *weight, *base)
    })
}

async fn calls_run_on_the_instances_of_a_capacity_provider() {
    let app = EcsApp::new().await;
    let backend = on_instances(&app, &[("spot-instances", 1, 0)]).await;
    let pool = app.pool_of("instances", backend).max(1).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let tasks = app.tasks_of(EcsApp::INSTANCES).await;
    let task = tasks.first().unwrap();
    assert_eq!(task.capacity_provider_name(), Some("spot-instances"));
    assert_eq!(task.launch_type().map(|launch| launch.as_str()), Some("EC2"));
    assert!(task.attachments().is_empty(), "it has no network interface of its own");
    drain_clean(&pool, &app).await;
}

async fn the_size_of_a_pool_reaches_its_tasks_on_instances() {
    let app = EcsApp::new().await;
    let backend = on_instances(&app, &[("gpu-instances", 1, 0)]).await;
    let size = Size::new().vcpus(3.0).memory_mib(5_000).gpus(2);
    let pool = app.pool_of("sized", backend).max(1).size(size).start().await.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let tasks = app.tasks_of(EcsApp::INSTANCES).await;
    let task = tasks.first().unwrap();
    assert_eq!((task.cpu(), task.memory()), (Some("3072"), Some("5000")));
    let container = &task.overrides().unwrap().container_overrides()[0];
    let [gpus] = container.resource_requirements() else { panic!("{container:?}") };
    assert_eq!((gpus.r#type().as_str(), gpus.value()), ("GPU", "2"));
    drain_clean(&pool, &app).await;
}

async fn the_first_runners_fill_the_base_of_a_provider() {
    let app = EcsApp::new().await;
    let providers = [("spot-instances", 1, 0), ("on-demand-instances", 0, 2)];
    let backend = on_instances(&app, &providers).await;
    let pool = app.pool_of("based", backend).min(5).max(5).start().await.unwrap();
    pool.ready().await;
    let mut counts = BTreeMap::new();
    for task in app.tasks_of(EcsApp::INSTANCES).await {
        *counts.entry(task.capacity_provider_name().unwrap().to_owned()).or_insert(0) += 1;
    }
    let expected = [("on-demand-instances", 2), ("spot-instances", 3)];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
    drain_clean(&pool, &app).await;
}

async fn instances_without_room_are_a_lack_of_capacity_and_a_constraint_is_a_misconfiguration() {
    for (reason, kind, advice) in [
        ("RESOURCE:GPU", BootFailureKind::Capacity, "Auto Scaling"),
        ("ATTRIBUTE", BootFailureKind::Misconfigured, "placement constraints"),
    ] {
        let app = EcsApp::new().await;
        let backend = on_instances(&app, &[("gpu-instances", 1, 0)]).await;
        let body = json!({ "tasks": [], "failures": [{ "reason": reason }] });
        app.account.fault(json!({ "target": "RunTask", "count": 1_000, "body": body })).await;
        let pool = app.pool_of("full", backend).max(1).boot_timeout(SECOND * 2);
        let pool = pool.start().await.unwrap();
        let failure = failure(&pool).await;
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.reason.contains(advice), "{failure}");
        drain_clean(&pool, &app).await;
    }
}

async fn a_pool_on_fargate_rejects_gpus_at_its_start() {
    let app = EcsApp::new().await;
    let started = app.pool("gpus").await.size(Size::new().gpus(1)).start().await;
    let Err(PoolError::Backend(error)) = started else { panic!("{started:?}") };
    assert!(error.to_string().contains("Fargate has none"), "{error}");
    assert_eq!(app.account.count("RunTask").await, 0);
}
