//! What the runners are asked to do.

use std::time::Duration;

use flame_aws::{Blob, remote};

/// Gives back what it got: a call that costs nothing but the call.
#[remote]
pub(crate) async fn echo(payload: Blob) -> Blob {
    payload
}

/// Takes its time without using it.
#[remote]
pub(crate) async fn nap(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Takes its time on a thread of its own, and to the tenth of a millisecond: tokio's timer counts
/// whole milliseconds and rounds up.
#[remote]
pub(crate) fn block(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// The runner's process id, after a nap.
#[remote]
pub(crate) async fn process_id(nap_millis: u64) -> u32 {
    tokio::time::sleep(Duration::from_millis(nap_millis)).await;
    std::process::id()
}

/// The processor time that the runner's process has used so far, in nanoseconds.
#[remote]
pub(crate) async fn cpu_used_ns() -> u64 {
    u64::try_from(crate::cpu::used().as_nanos()).unwrap_or(u64::MAX)
}
