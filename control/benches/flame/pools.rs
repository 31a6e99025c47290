//! The pools under measurement.

use std::time::Duration;

use bytes::Bytes;
use flame_aws::{Blob, Idle, Pool};

use crate::functions::echo;

/// The payload of a small call in bytes, each way. The WebSocket baseline's message has the same
/// size.
pub(crate) const SMALL: usize = 64;

/// Longer than any call of the benchmark.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Returns a pool of `runners` child processes, which are all up and have served a call.
pub(crate) async fn warm(runners: u32, max_concurrency: u32) -> Pool {
    let pool = Pool::builder("bench")
        .min(runners)
        .max(runners)
        .max_concurrency(max_concurrency)
        .timeout(TIMEOUT)
        .idle_shutdown_after(Idle::Never)
        .start()
        .await
        .expect("a pool");
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
    Pool::builder("bench")
        .max(runners)
        .max_concurrency(max_concurrency)
        .timeout(TIMEOUT)
        .idle_shutdown_after(Idle::Never)
        .start()
        .await
        .expect("a pool")
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
