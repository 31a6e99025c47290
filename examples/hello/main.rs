//! A service that calls a function every 10 s. Its runners are tasks on Fargate, and invocations of
//! Lambda while Fargate boots. `cdk/docs/from-zero.md` deploys it.

use std::time::Duration;

use anyhow::Context;
use flame_aws::backend::{Ecs, Lambda};
use flame_aws::{App, CallError, Pool, remote};

/// The number of primes below a limit.
#[remote]
fn primes_below(limit: u32) -> usize {
    (2..limit).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    App::new().drain_on_signals().run(service).await // a runner serves calls here until it exits
}

async fn service() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:4100".to_owned());
    let pool = Pool::builder("hello")
        .listen(address.parse().with_context(|| format!("{address} is not an address"))?)
        .backend(Ecs::from_env())
        .burst(Lambda::from_env())
        .start()
        .await?;
    for round in 1.. {
        let limit = round * 100_000;
        match pool.call(primes_below(limit)).await {
            Ok(count) => println!("{count} primes below {limit}"),
            // The service is being stopped.
            Err(CallError::Draining) => break,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    Ok(())
}
