//! The pools under measurement.

use std::time::Duration;

use bytes::Bytes;
use flame_aws::{Blob, Idle, Pool, PoolBuilder};

use crate::functions::echo;
use crate::relay::RelayProcess;

/// The payload of a small call in bytes, each way. The WebSocket baseline's message has the same
/// size.
pub(crate) const SMALL: usize = 64;

/// Longer than any call of the benchmark.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Returns a pool of `runners` child processes, which are all up and have served a call.
pub(crate) async fn warm(runners: u32, max_concurrency: u32) -> Pool {
    warmed(builder(), runners, max_concurrency).await
}

/// The same, with runners that connect through a relay.
pub(crate) async fn warm_through(relay: &RelayProcess, runners: u32, max_concurrency: u32) -> Pool {
    warmed(builder().relay(relay.option()), runners, max_concurrency).await
}

/// The options that all pools share.
pub(crate) fn builder() -> PoolBuilder {
    Pool::builder("bench").timeout(TIMEOUT).idle_shutdown_after(Idle::Never)
}

/// Starts a pool of `runners` child processes, which are all up and have served a call.
pub(crate) async fn warmed(pool: PoolBuilder, runners: u32, max_concurrency: u32) -> Pool {
    let pool = pool.min(runners).max(runners).max_concurrency(max_concurrency);
    let pool = pool.start().await.expect("a pool");
    pool.ready().await;
    // The calls are spread over all runners, so each serves at least one.
    let calls = (0..runners * max_concurrency.min(50)).map(|_| pool.call(echo(payload(SMALL))));
    for result in futures_util::future::join_all(calls).await {
        result.expect("a call of a warm pool");
    }
    pool
}

/// Returns a pool of up to `runners` child processes, none of which is up.
pub(crate) async fn cold(runners: u32, max_concurrency: u32) -> Pool {
    let pool = builder().max(runners).max_concurrency(max_concurrency);
    pool.start().await.expect("a pool")
}

/// Calls [`echo`].
pub(crate) async fn call(pool: &Pool, payload: &Blob) {
    let back = pool.call(echo(payload.clone())).await.expect("a call");
    assert_eq!(back.len(), payload.len(), "the echo has another length");
}

/// Returns `len` bytes that repeat only every 251 bytes.
pub(crate) fn payload(len: usize) -> Blob {
    Blob::from(bytes(len))
}

pub(crate) fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| u8::try_from(at % 251).expect("less than 251")).collect()
}
