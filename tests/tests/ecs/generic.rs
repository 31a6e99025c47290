//! The generic runner as the command of a task: it becomes the executable of its parent.

use std::time::Duration;

use aws_sdk_ecs::types::KeyValuePair;
use flame_runner_shim::code_sync::FOLDER_ENV;
use flame_tests::emulator::EcsApp;
use flame_tests::{TempDir, Test, demo, generic_runner, on_generic_runners, tests};

pub(crate) fn tests() -> Vec<Test> {
    on_generic_runners(tests![a_generic_runner_in_a_task_becomes_its_parents_executable])
}

async fn a_generic_runner_in_a_task_becomes_its_parents_executable() {
    let (app, folder, generic) = (EcsApp::new().await, TempDir::new(), generic_runner().await);
    let cache = folder.path().join("cache");
    let cache = cache.to_str().unwrap();
    let variable = KeyValuePair::builder().name(FOLDER_ENV).value(cache).build();
    app.define("generic", |container| {
        container.entry_point(generic.to_str().unwrap()).environment(variable)
    })
    .await;
    let backend = app.backend().await.task_definition("generic");
    let pool =
        app.pool_of("generic", backend).code_sync(true).boot_timeout(Duration::from_secs(60));
    let pool = pool.start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    let pid = pool.call(demo::pid()).await.unwrap();
    assert_eq!(app.account.running().await, [pid], "the app is the task's first process");
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert!(exe.starts_with(cache), "{exe:?}");
    pool.drain().await;
    app.until_nothing_runs().await;
}
