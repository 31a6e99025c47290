//! The images of the relay, of the generic runner and of an app, with real calls: tasks and functions in the
//! emulator are containers of the runner or of the app. The suite runs if it is asked to:
//! `cargo xtask test --containers`.

use flame_tests::emulator::{self, EcsApp};
use flame_tests::images::{RELAY, RUNNER, with_images};
use flame_tests::relay::program::RelayCommand;
use flame_tests::{TempDir, demo, suite, tests};
use rustix::process::Signal;
use tokio::sync::Mutex;

mod app;

fn main() -> std::process::ExitCode {
    let tests = tests![
        a_container_of_the_runner_becomes_its_parents_executable,
        a_container_of_the_relay_relays_calls_and_drains,
    ];
    suite(with_images([tests, app::tests()].concat()))
}

/// Held by a test that counts containers of the generic runner.
static RUNNERS: Mutex<()> = Mutex::const_new(());

/// An app on ECS whose tasks are containers of the generic runner.
async fn generic_app() -> EcsApp {
    emulator::add_image("generic:1", &RUNNER.program());
    let app = EcsApp::new().await;
    app.define("generic", |container| container.image("generic:1")).await;
    app
}

async fn a_container_of_the_runner_becomes_its_parents_executable() {
    let _alone = RUNNERS.lock().await;
    let app = generic_app().await;
    let backend = app.backend().await.task_definition("generic");
    let pool = app.pool_of("generic", backend).code_sync(true).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    assert!(RUNNER.check_containers() > 0);
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn a_container_of_the_relay_relays_calls_and_drains() {
    let _alone = RUNNERS.lock().await;
    let (app, folder) = (generic_app().await, TempDir::new());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = RelayCommand::new(free, &[], &folder.path().join("log"));
    // It is ready when /healthz answers.
    let mut relay = relay.start(&RELAY.program()).await.expect("the relay starts");
    assert_eq!(RELAY.check_containers(), 1);
    let backend = app.backend().await.task_definition("generic");
    let pool = app.pool_of("relayed", backend).relay(relay.option()).code_sync(true);
    let pool = pool.start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    assert!(relay.metric("flame_relay_pairs_total").await.unwrap() > 0.0);
    pool.drain().await;
    app.until_nothing_runs().await;
    relay.signal(Signal::TERM);
    assert!(relay.wait().await.success());
}
