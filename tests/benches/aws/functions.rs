//! The functions that runners run.

use flame_aws::remote;

/// A minimal call, whose result identifies the runner's process.
#[remote]
pub(crate) async fn process_id() -> u32 {
    std::process::id()
}

/// Keeps its slot until the caller drops the call.
#[remote]
pub(crate) async fn hold() {
    std::future::pending().await
}
