//! Parents whose runners fetch the executable from a code store.

use std::time::Duration;

use flame_aws::backend::Lambda;
use flame_aws::{Pool, PoolBuilder};
use flame_runner_shim::code_sync::FOLDER_ENV;
use futures_util::future::join_all;

use crate::demo;
use crate::emulator::{EcsApp, reachable};

/// The variable with the URL of the store.
pub const URL_ENV: &str = "DEMO_CODE_STORE";
/// The variable with the folder for the caches of the runners.
pub const CACHES_ENV: &str = "DEMO_CACHES";
/// The family of the task definition that runs the generic runner.
pub const FAMILY: &str = "generic";

/// Has two pools on ECS at the same time, each with one runner and a cache of its own.
pub(super) async fn code_store_on_ecs() {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
    let caches = std::env::var(CACHES_ENV).unwrap();
    let pools = ["one", "two"].map(|name| {
        let mut backend = EcsApp::backend_with(config.clone()).task_definition(FAMILY);
        backend = backend.env(FOLDER_ENV, format!("{caches}/{name}"));
        // For a store with a certificate of its own.
        if let Ok(file) = std::env::var("SSL_CERT_FILE") {
            backend = backend.env("SSL_CERT_FILE", file);
        }
        Pool::builder(name).backend(backend.build())
    });
    join_all(pools.map(calls_once)).await;
}

/// Has one runner on Lambda.
pub(super) async fn code_store_on_lambda() {
    calls_once(Pool::builder("stored").backend(Lambda::from_env())).await;
}

async fn calls_once(pool: PoolBuilder) {
    let minute = Duration::from_secs(60);
    let url = std::env::var(URL_ENV).unwrap();
    let pool = reachable(pool).max(1).code_store(url).boot_timeout(minute);
    // A call has to fit into the timeout of the Lambda function.
    let pool = pool.timeout(minute / 2).start().await.unwrap();
    println!("{}", pool.call(demo::double(21)).await.unwrap());
    pool.drain().await;
}
