//! Parents whose runners are Lambda invocations.

use std::time::Duration;

use flame_aws::backend::Lambda;

use crate::demo::{self, gates, output};
use crate::emulator::reachable;

/// Returns a pool on the function that the environment names.
fn lambda_pool() -> flame_aws::PoolBuilder {
    let pool = flame_aws::Pool::builder("test").max(2).max_concurrency(1);
    reachable(pool.backend(Lambda::from_env()))
}

/// Has two invocations, one idle and one busy. Both exit soon after this program is killed.
pub(super) async fn parent_on_lambda() {
    let pool = lambda_pool()
        .timeout(None)
        .reconnect_timeout(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let idle = pool.call(demo::nap(Duration::ZERO)).await.unwrap();
    let (mut gate, begun, open) = gates::Gate::new();
    let _busy = tokio::spawn(pool.call(gates::gated(begun, open)));
    let busy = gate.entered().await;
    // The gated call has the slot of the only runner, so a second one boots.
    let other = pool.call(demo::pid()).await.unwrap();
    assert_eq!(idle, busy);
    super::report_pid("busy", busy);
    super::report_pid("idle", other);
    println!("ready");
    std::future::pending().await
}

/// Has an invocation that boots, and retries the connection for a second.
pub(super) async fn boots_on_lambda() {
    let pool = lambda_pool().min(1).boot_timeout(Duration::from_secs(1));
    let _pool = pool.start().await.unwrap();
    println!("ready");
    std::future::pending().await
}

/// Has an invocation that logs.
pub(super) async fn talks_on_lambda() {
    let pool = lambda_pool().max(1).start().await.unwrap();
    pool.call(output::logs("logged")).await.unwrap();
    println!("runner {}", pool.snapshot().runners[0].runner);
    pool.drain().await;
}

/// Has an invocation that may become this executable, and prints its process id.
pub(super) async fn code_synced_on_lambda() {
    let pool = lambda_pool().max(1).code_sync(true).boot_timeout(Duration::from_secs(60));
    let pool = pool.start().await.unwrap();
    super::report_pid("runner", pool.call(demo::pid()).await.unwrap());
    pool.drain().await;
}
