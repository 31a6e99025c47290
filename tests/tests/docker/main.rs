//! Runners in containers of a real engine, and what goes wrong with containers and engines. The
//! suite runs if it is asked to: `cargo xtask test docker`.

mod boots;
mod containers;
mod deaths;
mod engines;
mod images;
mod orphans;
mod parents;
mod pulls;
mod transports;

use flame_tests::docker::{with_engine, with_own_engine, with_registry};
use flame_tests::suite;

fn main() -> std::process::ExitCode {
    let shared = [
        boots::tests(),
        containers::tests(),
        deaths::tests(),
        images::tests(),
        orphans::tests(),
        parents::tests(),
        transports::tests(),
    ];
    let tests = [
        with_engine(shared.concat()),
        with_own_engine(engines::tests()),
        with_registry(pulls::tests()),
    ];
    suite(tests.concat())
}

/// The code that the tests have in common.
mod common {
    use std::net::{Ipv4Addr, SocketAddr};

    use flame_aws::backend::DockerBuilder;
    use flame_aws::{BootFailure, CallError, Pool, PoolBuilder, PoolError};
    use flame_tests::demo;

    /// Any free port, on all addresses.
    pub(crate) const ANY: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

    /// A pool of one runner.
    pub(crate) fn pool_on(name: &str, backend: DockerBuilder) -> PoolBuilder {
        Pool::builder(name).max(1).listen(ANY).backend(backend.build())
    }

    /// Runs something that blocks.
    pub(crate) fn in_background<T>(run: impl FnOnce() -> T) -> T {
        tokio::task::block_in_place(run)
    }

    /// Calls, and returns why the boot for the call failed.
    pub(crate) async fn boot_failure(pool: &Pool) -> BootFailure {
        match pool.call(demo::double(1)).await {
            Err(CallError::BootFailed(failure)) => BootFailure::clone(&failure),
            other => panic!("the boot has to fail: {other:?}"),
        }
    }

    /// Returns why a pool does not start, in the backend's words.
    pub(crate) async fn start_error(pool: PoolBuilder) -> String {
        match pool.start().await {
            Err(PoolError::Backend(error)) => error.to_string(),
            other => panic!("the start has to fail: {other:?}"),
        }
    }
}
