//! The pools that are measured.

use std::time::Duration;

use bytes::Bytes;
use flame_aws::{Blob, Idle, Pool};

use crate::functions::echo;

/// What a small call carries each way, and the WebSocket floor, too.
pub(crate) const SMALL: usize = 64;

/// Longer than any call of the benchmark.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A pool of `runners` child processes, all up and each having served a call.
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
    // Spread over all: each has at least one.
    let calls = (0..runners * max_concurrency.min(50)).map(|_| pool.call(echo(payload(SMALL))));
    for result in futures_util::future::join_all(calls).await {
        result.expect("a call of a warm pool");
    }
    pool
}

/// A pool of up to `runners` child processes, none up.
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

/// One call of [`echo`], awaited.
pub(crate) async fn call(pool: &Pool, payload: &Blob) {
    let back = pool.call(echo(payload.clone())).await.expect("a call");
    assert_eq!(back.len(), payload.len(), "an echo is as long as the call");
}

/// So many bytes, none of them alike enough to be taken for another's.
pub(crate) fn payload(len: usize) -> Blob {
    Blob::from(bytes(len))
}

pub(crate) fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| u8::try_from(at % 251).expect("less than 251")).collect()
}
