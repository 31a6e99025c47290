//! Machines of the stand-in for Fly, and what goes wrong with them and with the API.

mod boots;
mod deaths;
mod orphans;
mod parents;

use std::net::Ipv6Addr;
use std::sync::Arc;

use flame_aws::backend::FlyBuilder;
use flame_aws::{BootFailure, CallError, Pool, PoolBuilder};
use flame_tests::fly::{self, App};
use flame_tests::{Test, demo};

pub(crate) fn tests() -> Vec<Test> {
    [boots::tests(), deaths::tests(), orphans::tests(), parents::tests()].concat()
}

/// An app of its own for the test.
fn app(name: &str) -> App {
    fly::shared().app(name)
}

/// A pool of one runner, which connects over IPv6.
fn pool_on(backend: FlyBuilder) -> PoolBuilder {
    let pool = Pool::builder("fly").max(1).backend(backend.build());
    pool.listen((Ipv6Addr::LOCALHOST, 0).into())
}

/// The machine of a pool's only runner.
fn machine_of(pool: &Pool) -> String {
    pool.snapshot().runners[0].instance.clone().expect("the runner has booted")
}

/// Calls, and returns why the boot for the call failed.
async fn boot_failure(pool: &Pool) -> Arc<BootFailure> {
    match pool.call(demo::double(1)).await {
        Err(CallError::BootFailed(failure)) => failure,
        other => panic!("the boot has to fail: {other:?}"),
    }
}
