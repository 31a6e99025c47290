//! The functions that run on the runners.

use std::time::Duration;

use flame_aws::{Blob, remote};

/// Returns its argument: a call whose only cost is the call itself.
#[remote]
pub(crate) async fn echo(payload: Blob) -> Blob {
    payload
}

/// Sleeps on tokio's timer.
#[remote]
pub(crate) async fn nap(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Sleeps on a thread, which is exact to a tenth of a millisecond: tokio's timer rounds up to whole
/// milliseconds.
#[remote]
pub(crate) fn block(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// Sleeps, and returns the runner's process id.
#[remote]
pub(crate) async fn process_id(nap_millis: u64) -> u32 {
    tokio::time::sleep(Duration::from_millis(nap_millis)).await;
    std::process::id()
}

/// Returns the processor time that the runner's process has used so far, in nanoseconds.
#[remote]
pub(crate) async fn cpu_used_ns() -> u64 {
    u64::try_from(crate::process::cpu_time().as_nanos()).unwrap_or(u64::MAX)
}
