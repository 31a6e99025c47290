//! What the runners are asked to do.

use flame_aws::remote;

/// The least that a call can do, and whose answer tells one runner's process from another's.
#[remote]
pub(crate) async fn process_id() -> u32 {
    std::process::id()
}

/// Keeps its slot until its caller lets go.
#[remote]
pub(crate) async fn hold() {
    std::future::pending().await
}
