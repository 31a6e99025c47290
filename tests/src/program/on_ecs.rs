//! Parents whose runners are ECS tasks.

use std::time::Duration;

use tracing::Instrument;

use crate::demo::{self, misbehaving};
use crate::emulator::{EcsApp, reachable};
use crate::otel::ExportedSpans;
use crate::{process, until};

/// Has two tasks, one idle and one busy, with a short reconnect timeout.
pub(super) async fn ecs_family() {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
    let pool = |name: &str| {
        let backend = EcsApp::backend_with(config.clone()).build();
        let pool = flame_aws::Pool::builder(name).max(1).timeout(None).backend(backend);
        reachable(pool.reconnect_timeout(Duration::from_secs(1)))
    };
    let idle = pool("idle").min(1).start().await.unwrap();
    idle.ready().await;
    super::report_pid("idle", process::pids(&idle)[0]);
    let busy = pool("busy").start().await.unwrap();
    super::report_pid("busy", busy.call(demo::pid()).await.unwrap());
    let _spinning = tokio::spawn(busy.call(misbehaving::spins()));
    println!("ready");
    std::future::pending().await
}

/// Requests a task whose runner would soon give up on its parent.
pub(super) async fn ecs_booting() {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
    let backend = EcsApp::backend_with(config).build();
    let pool = flame_aws::Pool::builder("booting").min(1).max(1).backend(backend);
    let _pool = pool.boot_timeout(Duration::from_secs(3)).start().await.unwrap();
    std::future::pending().await
}

/// Prints the FLAME_PARENT of a runner. Its log is this program's standard error.
pub(super) async fn ecs_secret() {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
    let minute = Duration::from_secs(60);
    let backend = EcsApp::backend_with(config).sweep(minute, minute).build();
    let pool = flame_aws::Pool::builder("secret").max(1).backend(backend);
    let pool = reachable(pool).start().await.unwrap();
    let secret = pool.call(demo::flame_parent()).await.unwrap();
    println!("{}", secret.unwrap());
    pool.drain().await;
}

/// Takes all its settings from its environment or from its task, and exits with 0 if a call returns
/// the right result.
pub(super) async fn ecs_app() {
    let backend = flame_aws::backend::Ecs::from_env();
    let pool = flame_aws::Pool::builder("app").max(1).backend(backend);
    let pool = pool.listen("0.0.0.0:0".parse().unwrap()).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    pool.drain().await;
}

/// Runs as an ECS task itself, without any setting, and has a runner that hangs in its boot.
pub(super) async fn ecs_parent() {
    let backend = flame_aws::backend::Ecs::builder().env("DEMO_HANG_IN_BOOT", "1");
    let pool = flame_aws::Pool::builder("swept").min(1).max(1).backend(backend.build());
    let pool = pool.listen("0.0.0.0:0".parse().unwrap()).start().await;
    let _pool = pool.unwrap_or_else(|error| {
        panic!("{:?}", std::error::Error::source(&error).map(ToString::to_string))
    });
    std::future::pending().await
}

/// Makes a call whose spans go to OpenTelemetry, and prints this process's spans.
pub(super) async fn ecs_traced() {
    let exported = ExportedSpans::install(true);
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
    let backend = EcsApp::backend_with(config).build();
    let pool = flame_aws::Pool::builder("traced").max(1).backend(backend);
    let pool = reachable(pool).start().await.unwrap();
    let call = pool.call(demo::double(21)).instrument(tracing::info_span!("request"));
    assert_eq!(call.await.unwrap(), 42);
    // The backend learns of the parts of a boot by its next poll.
    until("the parts of the boot are in the trace", || {
        exported.flush().iter().any(|span| span.name == "flame.boot.start")
    })
    .await;
    pool.drain().await;
    println!("{}", serde_json::to_string(&exported.flush()).expect("the spans are text"));
}
