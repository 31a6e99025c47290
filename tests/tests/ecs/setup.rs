//! Starts of pools: which settings are accepted, and what the errors say.

use std::error::Error;
use std::time::Duration;

use aws_sdk_ecs::types::{ContainerDefinition, ContainerRestartPolicy, KeyValuePair, Tag, Task};
use flame_aws::backend::EcsBuilder;
use flame_aws::{HostKind, Pool, PoolError};
use flame_tests::emulator::{self, EcsApp};
use flame_tests::program;
use flame_tests::{TempDir, Test, demo, emulated, tests};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(crate) fn tests() -> Vec<Test> {
    let anywhere = tests![
        a_shutdown_timeout_longer_than_the_stop_timeout_is_rejected,
        a_start_without_credentials_fails_at_once,
        another_size_applies_to_the_task_and_its_container,
        one_backend_can_start_several_pools,
        a_runner_without_task_metadata_exits_with_an_error,
    ];
    let here = tests![
        settings_that_ecs_does_not_know_are_named_with_where_to_set_them,
        a_container_whose_exit_does_not_end_its_task_is_rejected_at_the_start,
        checks_without_permission_are_skipped,
        a_throttled_start_is_retried,
    ];
    [anywhere, emulated(here)].concat()
}

/// Tests of the address at which a pool listens, and of parents that listen.
pub(crate) fn with_a_listener() -> Vec<Test> {
    let anywhere = tests![
        a_pool_at_an_unreachable_address_does_not_start,
        a_start_without_root_certificates_fails_with_advice,
        a_parent_on_ecs_whose_subnets_are_set_needs_no_other_setting,
    ];
    let here = tests![
        flame_aws_can_set_everything_that_the_builder_can,
        a_parent_on_ecs_needs_no_settings,
        runners_connect_to_the_private_address_of_a_parent_on_ec2,
    ];
    [anywhere, emulated(here)].concat()
}

/// The error with which the start failed.
fn rejection(started: Result<Pool, PoolError>) -> String {
    match started {
        Err(error @ PoolError::Backend(_)) => error.source().unwrap().to_string(),
        other => panic!("{other:?}"),
    }
}

async fn start(app: &EcsApp, backend: EcsBuilder) -> Result<Pool, PoolError> {
    app.pool_of("setup", backend).start().await
}

async fn settings_that_ecs_does_not_know_are_named_with_where_to_set_them() {
    let app = EcsApp::new().await;
    let backend = app.backend().await;
    let wrong = [
        (backend.clone().cluster("nowhere"), ["`nowhere`", "FLAME_ECS_CLUSTER"]),
        (backend.clone().task_definition("none:3"), ["`none:3`", "FLAME_ECS_TASK_DEFINITION"]),
        (backend.clone().container("other"), ["has app", "FLAME_ECS_CONTAINER"]),
        (backend.clone().cpu(512).memory(512), ["512 MiB", "1024 to 4096"]),
        (backend.clone().memory(8_192), ["8192 MiB", "with `cpu` 256"]),
        (backend.clone().env("BIG", "x".repeat(8_192)), ["8192", "task definition"]),
    ];
    let two_problems = backend.clone().cluster("nowhere").container("other");
    let wrong =
        wrong.into_iter().chain([(two_problems, ["FLAME_ECS_CLUSTER", "FLAME_ECS_CONTAINER"])]);
    for (backend, parts) in wrong {
        let rejection = rejection(start(&app, backend).await);
        assert!(parts.iter().all(|part| rejection.contains(part)), "{rejection}");
    }
    assert_eq!(app.account.count("RunTask").await, 0);
}

async fn a_pool_at_an_unreachable_address_does_not_start() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.subnets([""; 0]);
    let pool = app.pool_of("setup", backend).advertise("ws://0.0.0.0:4100");
    let rejection = rejection(pool.start().await);
    assert!(
        rejection.contains("ws://0.0.0.0:") && rejection.contains(".advertise("),
        "{rejection}"
    );
    assert!(rejection.contains("FLAME_ECS_SUBNETS"), "all problems are reported: {rejection}");
}

async fn a_shutdown_timeout_longer_than_the_stop_timeout_is_rejected() {
    let app = EcsApp::new().await;
    let window = Duration::from_secs(100);
    let rejection = rejection(app.pool("setup").await.shutdown_timeout(window).start().await);
    assert!(rejection.contains("`stopTimeout`, which is 30 s"), "{rejection}");
    app.define("long", |container| container.stop_timeout(120)).await;
    let backend = app.backend().await.task_definition("long");
    let pool = app.pool_of("setup", backend).shutdown_timeout(window).start().await.unwrap();
    pool.drain().await;
}

async fn a_container_whose_exit_does_not_end_its_task_is_rejected_at_the_start() {
    let app = EcsApp::new().await;
    // ECS requires at least one essential container.
    let other = ContainerDefinition::builder().name("other").image(emulator::IMAGE);
    let other = other.essential(true).build();
    app.define_with("optional", |container| container.essential(false), [other]).await;
    let policy = ContainerRestartPolicy::builder().enabled(true).build().unwrap();
    app.define("restarts", |container| container.restart_policy(policy)).await;
    for (family, setting) in [("optional", "`essential`"), ("restarts", "`restartPolicy`")] {
        let backend = app.backend().await.task_definition(family);
        let rejection = rejection(start(&app, backend).await);
        assert!(rejection.contains(setting), "{rejection}");
    }
    assert_eq!(app.account.count("RunTask").await, 0);
}

async fn checks_without_permission_are_skipped() {
    let app = EcsApp::new().await;
    for action in ["DescribeClusters", "DescribeTaskDefinition"] {
        app.account.fails(action, 1_000, "AccessDeniedException", "not authorized").await;
    }
    let pool = start(&app, app.backend().await).await.unwrap();
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    pool.drain().await;
}

async fn a_throttled_start_is_retried() {
    let app = EcsApp::new().await;
    app.account.fails("DescribeClusters", 2, "ThrottlingException", "Rate exceeded").await;
    let pool = start(&app, app.backend().await).await.unwrap();
    pool.drain().await;
    app.account.fails("DescribeClusters", 1_000, "ThrottlingException", "Rate exceeded").await;
    let rejection = rejection(start(&app, app.backend().await).await);
    assert!(rejection.contains("Rate exceeded"), "{rejection}");
}

async fn a_start_without_credentials_fails_at_once() {
    let app = EcsApp::new().await;
    let nobody = aws_config::profile::ProfileFileCredentialsProvider::builder()
        .profile_name("nobody-has-this-profile")
        .build();
    let nobody = aws_sdk_ecs::config::SharedCredentialsProvider::new(nobody);
    let config = app.account.sdk().await.into_builder().credentials_provider(nobody).build();
    let rejection = rejection(start(&app, EcsApp::backend_with(config)).await);
    assert!(rejection.contains("check the credentials"), "{rejection}");
}

async fn another_size_applies_to_the_task_and_its_container() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.cpu(512).memory(2_048).ephemeral_storage(30);
    let pool = start(&app, backend).await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let tasks = app.tasks().await;
    assert_eq!((tasks[0].cpu(), tasks[0].memory()), (Some("512"), Some("2048")));
    let overrides = tasks[0].overrides().unwrap();
    let container = &overrides.container_overrides()[0];
    assert_eq!((container.cpu(), container.memory()), (Some(512), Some(2_048)));
    assert_eq!(overrides.ephemeral_storage().map(|storage| storage.size_in_gib()), Some(30));
    pool.drain().await;
}

async fn flame_aws_can_set_everything_that_the_builder_can() {
    let app = EcsApp::new().await;
    let settings = json!({
        "ecs": {
            "cluster": EcsApp::CLUSTER,
            "taskDefinition": EcsApp::FAMILY,
            "subnets": ["subnet-0b", "subnet-0c"],
            "env": { "LEVEL": "high" },
            "tags": { "team": "x" },
        },
        "lambda": {},
    });
    let settings = settings.to_string();
    let variables = app.account.variables();
    let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let metadata = instance_metadata().await;
    let address = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.as_str());
    let variables = variables.chain([address, ("FLAME_AWS", settings.as_str())]);
    let variables: Vec<_> = variables.collect();
    program::Program::start("ecs_app", &variables).finish().await;
    let tasks = app.tasks().await;
    let [runner] = tasks.as_slice() else { panic!("one task: {tasks:?}") };
    assert_eq!(subnets(runner), ["subnet-0b"]);
    let container = &runner.overrides().unwrap().container_overrides()[0];
    let level = |set: &KeyValuePair| set.name() == Some("LEVEL") && set.value() == Some("high");
    assert!(container.environment().iter().any(level), "{container:?}");
    let team = |tag: &Tag| tag.key() == Some("team") && tag.value() == Some("x");
    assert!(runner.tags().iter().any(team), "{:?}", runner.tags());
}

async fn one_backend_can_start_several_pools() {
    let app = EcsApp::new().await;
    let backend = app.backend().await.build();
    let pool = |name| emulator::reachable(Pool::builder(name).backend(backend.clone()));
    let one = pool("one").start().await.unwrap();
    let two = pool("two").start().await.unwrap();
    assert_eq!(one.call(demo::double(1)).await.unwrap(), 2);
    one.drain().await;
    assert_eq!(two.call(demo::double(2)).await.unwrap(), 4, "the other pool's tasks live on");
    two.drain().await;
    app.until_nothing_runs().await;
}

/// The subnets of a task.
fn subnets(task: &Task) -> Vec<&str> {
    let details = task.attachments().iter().flat_map(|attached| attached.details());
    let subnets = details.filter(|detail| detail.name() == Some("subnetId"));
    subnets.filter_map(|detail| detail.value()).collect()
}

async fn a_parent_on_ecs_needs_no_settings() {
    boots_a_runner_like_itself(&[("DEMO_PROGRAM", "ecs_app")]).await;
}

/// A parent that can't read the network of its own task from ECS, for example because it lacks the
/// permission, has to name its subnets.
async fn a_parent_on_ecs_whose_subnets_are_set_needs_no_other_setting() {
    let settings = format!(r#"{{"ecs": {{"subnets": ["{}"]}}, "lambda": {{}}}}"#, EcsApp::SUBNET);
    boots_a_runner_like_itself(&[("DEMO_PROGRAM", "ecs_app"), ("FLAME_AWS", &settings)]).await;
}

/// Runs a parent as an ECS task with these variables, and checks that its runner's task has
/// the same task definition and subnets.
async fn boots_a_runner_like_itself(variables: &[(&str, &str)]) {
    let app = EcsApp::new().await;
    let parent = app.run(variables, &[]).await;
    let task = app.until_stopped(&parent).await;
    assert_eq!(task.containers()[0].exit_code(), Some(0), "the parent's call was answered");
    let tasks = app.tasks().await;
    let runner = tasks.iter().find(|task| task.task_arn() != Some(&parent)).unwrap();
    let of_parent = |tag: &aws_sdk_ecs::types::Tag| {
        tag.key() == Some("flame:parent-task") && tag.value() == Some(&parent)
    };
    assert!(runner.tags().iter().any(of_parent), "{:?}", runner.tags());
    assert_eq!(runner.task_definition_arn(), task.task_definition_arn(), "the same revision");
    assert_eq!(subnets(runner), subnets(&task), "the parent's subnet");
    app.until_nothing_runs().await;
}

/// Starts an instance metadata service that reports 127.0.0.1 as the private address.
async fn instance_metadata() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let len = socket.read(&mut request).await.unwrap_or(0);
            let asks_for_address = String::from_utf8_lossy(&request[..len])
                .starts_with("GET /latest/meta-data/local-ipv4");
            let body = if asks_for_address { "127.0.0.1" } else { "token" };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\
                 x-aws-ec2-metadata-token-ttl-seconds: 60\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

async fn runners_connect_to_the_private_address_of_a_parent_on_ec2() {
    let app = EcsApp::new().await;
    let metadata = instance_metadata().await;
    let variables = app.account.variables();
    let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let settings = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.as_str()),
        ("FLAME_ECS_CLUSTER", EcsApp::CLUSTER),
        ("FLAME_ECS_TASK_DEFINITION", EcsApp::FAMILY),
        ("FLAME_ECS_SUBNETS", EcsApp::SUBNET),
    ];
    let variables: Vec<_> = variables.chain(settings).collect();
    // The parent exits cleanly only if its call was answered, so its runner has connected.
    program::Program::start("ecs_app", &variables).finish().await;
    assert_eq!(app.tasks().await.len(), 1);
}

async fn a_runner_without_task_metadata_exits_with_an_error() {
    let app = EcsApp::new().await;
    let pool = app.pool("nowhere").await.max(1).start().await.unwrap();
    let text = pool.call(demo::flame_parent()).await.unwrap().unwrap();
    pool.drain().await;
    let parent = flame_wire::parent::FlameParent::decode(&text).unwrap();
    assert_eq!(parent.host, HostKind::Ecs);
    // The same FLAME_PARENT in a process that is not a container of a task.
    let child = program::copy().env("FLAME_PARENT", text).output().await.unwrap();
    assert_eq!(child.status.code(), Some(1));
    let text = String::from_utf8_lossy(&child.stderr);
    assert!(text.contains("ECS_CONTAINER_METADATA_URI_V4 is not set"), "{text}");
}

/// An image FROM scratch has no root certificates, and the AWS SDK would panic there.
async fn a_start_without_root_certificates_fails_with_advice() {
    let account = EcsApp::new().await.account;
    let folder = TempDir::new();
    let empty = folder.path().join("roots.pem");
    std::fs::write(&empty, "").unwrap();
    let mut parent = program::copy();
    parent.env(program::ENV, "ecs_parent").envs(account.variables()).env_remove("SSL_CERT_DIR");
    let ended = parent.env("SSL_CERT_FILE", empty).output().await.unwrap();
    let text = String::from_utf8_lossy(&ended.stderr);
    assert!(text.contains("trusts no root certificate"), "{text}");
    assert!(text.contains("ca-certificates"), "the error says what to do: {text}");
}
