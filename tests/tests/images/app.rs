//! The image of an app. Its parent and its runners are containers of the same image.

use std::process::Stdio;

use flame_tests::emulator::{self, EcsApp, Function};
use flame_tests::images::{APP, CHANGE, CHANGED_APP, Image};
use flame_tests::{Test, process, tests};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// More than a test makes of any call.
const EACH: u32 = 1000;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_container_of_an_app_calls_its_image_on_ecs,
        a_container_of_an_app_with_a_change_calls_its_image_on_lambda,
        a_change_of_an_apps_source_compiles_no_dependency_again,
    ]
}

async fn a_container_of_an_app_calls_its_image_on_ecs() {
    let app = app_of(APP, "app:1").await;
    // So its burst backend boots no runner.
    let error = ("AccessDeniedException", "not authorized to perform: lambda:InvokeFunction");
    app.account.fails("Invoke", EACH, error.0, error.1).await;
    check_call(APP, &app, "9592 primes below 100000").await;
    app.until_nothing_runs().await;
}

async fn a_container_of_an_app_with_a_change_calls_its_image_on_lambda() {
    let app = app_of(CHANGED_APP, "app:2").await;
    let failure = json!({ "reason": "Capacity is unavailable at this time." });
    let none = json!({ "tasks": [], "failures": [failure] });
    app.account.fault(json!({ "target": "RunTask", "count": EACH, "body": none })).await;
    check_call(CHANGED_APP, &app, &format!("9592 {} below 100000", *CHANGE)).await;
}

async fn a_change_of_an_apps_source_compiles_no_dependency_again() {
    let log = CHANGED_APP.build_log();
    // `Compiling hello v0.1.0 (/app/hello)`, or `Compiling serde v1.0.0` for a crate of a registry.
    let compiled = log.lines().filter_map(|line| line.trim_start().strip_prefix("Compiling "));
    let compiled: Vec<_> = compiled.collect();
    assert!(compiled.iter().any(|it| it.starts_with("flame-example-hello ")), "{log}");
    let others: Vec<_> = compiled.iter().filter(|it| !it.contains(" (/app/")).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// A task definition and a function, in an account of their own, whose containers are of the image.
async fn app_of(image: Image, name: &str) -> EcsApp {
    emulator::add_image(name, &image.program());
    let app = EcsApp::new().await;
    app.define("hello", |container| container.image(name)).await;
    Function::of_app(app.account.clone(), name).await;
    app
}

/// Starts the app, and checks that it prints the line with the result of its first call, in one container
/// for the parent and one for the runner.
async fn check_call(image: Image, app: &EcsApp, line: &str) {
    let settings = json!({
        "ecs": {
            "cluster": EcsApp::CLUSTER,
            "taskDefinition": "hello",
            "subnets": [EcsApp::SUBNET],
        },
        "lambda": { "function": Function::NAME },
    });
    let mut parent = Command::new(image.program());
    parent.arg("127.0.0.1:0").envs(app.account.variables()).env("FLAME_AWS", settings.to_string());
    let mut parent = parent.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(line));
    assert_eq!(image.check_containers(), 2);
    process::signal(parent.id().unwrap(), Signal::TERM);
    assert!(parent.wait().await.unwrap().success());
}
