//! The remote functions that the checks call.

use flame_runner_shim::boot_variables::boot_variables;
use flame_runner_shim::host::{Host, ProcessHost};
use flame_wire::ids::RunnerRef;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

use crate::CallContext;
use crate::remote;

/// The identity of a runner, as the runner itself knows it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) runner: Option<RunnerRef>,
    /// FLAME_PARENT, if it was in the environment.
    pub(super) flame_parent: Option<String>,
    /// The instance id that a runner in a process of its own reports.
    pub(super) process: String,
}

/// Returns what the runner knows about itself.
#[remote]
pub(super) async fn identify() -> Identity {
    Identity {
        runner: CallContext::current().map(|call| call.runner),
        flame_parent: boot_variables().parent().and_then(|text| text.to_str()).map(str::to_owned),
        process: ProcessHost.instance(),
    }
}

/// Returns its argument. A plain function: it runs on a blocking thread.
#[remote]
pub(super) fn echo(text: String) -> String {
    text
}

/// Streams the numbers below `to`.
#[remote]
pub(super) fn count(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Never returns.
#[remote]
pub(super) async fn forever() {
    std::future::pending().await
}

/// Ends its process.
#[remote]
pub(super) async fn exit(code: i32) {
    std::process::exit(code)
}
