//! Parents of runners on the stand-in for Fly. Their environment is that of a Fly Machine.

use flame_aws::Pool;
use flame_aws::backend::{Fly, FlyBuilder};

use crate::demo;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"))
}

fn pool(backend: FlyBuilder) -> flame_aws::PoolBuilder {
    let pool = Pool::builder(variable("DEMO_FLY_POOL")).max(1).backend(backend.build());
    pool.listen(variable("DEMO_FLY_LISTEN").parse().expect("an address"))
}

/// Has a runner that hangs in its boot.
pub(super) async fn fly_parent() {
    let backend = Fly::builder().env("DEMO_HANG_IN_BOOT", "1");
    let _pool = pool(backend).min(1).start().await.expect("the pool starts");
    std::future::pending().await
}

/// Prints the result of a call, or why its pool does not start.
pub(super) async fn fly_app() {
    match pool(Fly::builder()).start().await {
        Ok(pool) => {
            println!("{}", pool.call(demo::double(21)).await.expect("the runner serves"));
            pool.drain().await;
        }
        Err(error) => println!("{:?}", std::error::Error::source(&error).map(ToString::to_string)),
    }
}

/// Logs all that the backend and its libraries log, prints the FLAME_PARENT of its runner, and says
/// in the log when the runner has connected.
pub(super) async fn fly_secret() {
    super::log_everything();
    let pool = pool(Fly::builder()).start().await.expect("the pool starts");
    let secret = pool.call(demo::flame_parent()).await.expect("the runner serves");
    println!("{}", secret.expect("the runner has a FLAME_PARENT"));
    log::info!("flame-tests: the runner has connected");
    pool.drain().await;
}
