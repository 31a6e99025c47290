//! Parents of runners in containers.

use flame_aws::Pool;
use flame_aws::backend::{Docker, DockerBuilder};

use crate::demo;
use crate::docker::mounts;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"))
}

/// A backend whose runners are copies of this program.
fn backend() -> DockerBuilder {
    let suite = std::env::current_exe().expect("the suite has a path");
    let suite = suite.to_str().expect("the path is text");
    mounts(suite).into_iter().fold(Docker::builder().command([suite]), DockerBuilder::bind)
}

fn backend_on_engine() -> DockerBuilder {
    backend().host(variable("DEMO_DOCKER_HOST")).image(variable("DEMO_DOCKER_IMAGE"))
}

fn pool(backend: DockerBuilder) -> flame_aws::PoolBuilder {
    let pool = Pool::builder(variable("DEMO_DOCKER_POOL")).max(1).backend(backend.build());
    pool.listen("0.0.0.0:0".parse().expect("an address"))
}

/// Has a runner that hangs in its boot.
pub(super) async fn docker_parent() {
    let backend = backend_on_engine().env("DEMO_HANG_IN_BOOT", "1");
    let _pool = pool(backend).min(1).start().await.expect("the pool starts");
    std::future::pending().await
}

/// Runs in a container itself. It finds its image, its network and its address there.
pub(super) async fn docker_app() {
    let pool = pool(backend()).start().await;
    let pool = pool.unwrap_or_else(|error| {
        panic!("{:?}", std::error::Error::source(&error).map(ToString::to_string))
    });
    println!("{}", pool.call(demo::double(21)).await.expect("the runner serves"));
    pool.drain().await;
}

/// Logs all that the backend and its libraries log, prints the FLAME_PARENT of its runner, and says
/// in the log when the runner has connected.
pub(super) async fn docker_secret() {
    super::log_everything();
    let pool = pool(backend_on_engine()).start().await.expect("the pool starts");
    let secret = pool.call(demo::flame_parent()).await.expect("the runner serves");
    println!("{}", secret.expect("the runner has a FLAME_PARENT"));
    log::info!("flame-tests: the runner has connected");
    pool.drain().await;
}
