//! Remote functions that start pools, or make calls, on their runner.

use std::sync::OnceLock;

use flame_aws::{CallError, Pool, RemoteError, Sender, remote};

use super::misbehaving::spins;

/// Starts a pool with this `max_depth` on the runner, and returns how that failed.
#[remote]
pub async fn starts_a_pool_with_max_depth(limit: u8) -> Result<(), RemoteError> {
    let pool = crate::process_pool("deeper").max_depth(limit).start().await;
    pool.map(drop).map_err(|error| RemoteError::new(&error))
}

/// Starts a pool with a `min` of 2 on the runner, and returns how many runners it has once ready.
#[remote]
pub async fn starts_a_pool_with_min() -> Result<usize, RemoteError> {
    let pool = crate::process_pool("deeper").min(2).start().await;
    let pool = pool.map_err(|error| RemoteError::new(&error))?;
    pool.ready().await;
    Ok(pool.snapshot().runners.len())
}

/// Makes its runner a parent whose child spins. Sends the process ids of both, and never returns.
#[remote]
pub async fn keeps_a_spinning_child(pids: Sender<u32>) -> Result<(), RemoteError> {
    let failed = |error: &dyn std::fmt::Display| RemoteError::new(error);
    let pool = crate::process_pool("deeper").timeout(None).start().await;
    let pool = pool.map_err(|error| failed(&error))?;
    let child = pool.call(super::pid()).await.map_err(|error| failed(&error))?;
    for pid in [std::process::id(), child] {
        pids.send(pid).await.map_err(|error| failed(&error))?;
    }
    pool.call(spins()).await.map_err(|error| failed(&error))
}

/// The pool on which [`calls_itself`] calls itself.
static POOL: OnceLock<Pool> = OnceLock::new();

/// Calls itself on the pool that it was called on.
#[remote]
pub async fn calls_itself() -> Result<(), RemoteError> {
    let pool = POOL.get().ok_or_else(|| RemoteError::new("in another process"))?;
    pool.call(calls_itself()).await.map_err(|error| RemoteError::new(&error))?
}

/// Calls [`calls_itself`] on a pool whose runners are in this process.
///
/// # Errors
/// That of the first call.
pub async fn call_without_end(pool: &Pool) -> Result<Result<(), RemoteError>, CallError> {
    let pool = POOL.get_or_init(|| pool.clone());
    pool.call(calls_itself()).await
}
