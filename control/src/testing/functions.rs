//! What the suite has its copies do.

use flame_runner_shim::boot_variables::boot_variables;
use flame_runner_shim::host::{Host, ProcessHost};
use flame_wire::ids::RunnerRef;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

use crate::CallContext;
use crate::remote;

/// What a copy knows of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Who {
    pub(super) runner: Option<RunnerRef>,
    /// FLAME_PARENT, where its host had set it in the environment.
    pub(super) flame_parent: Option<String>,
    /// What it would call its instance if it is a process of its own.
    pub(super) process: String,
}

/// Who are you?
#[remote]
pub(super) async fn who() -> Who {
    Who {
        runner: CallContext::current().map(|call| call.runner),
        flame_parent: boot_variables().parent().and_then(|text| text.to_str()).map(str::to_owned),
        process: ProcessHost.instance(),
    }
}

/// Gives back what it gets, on a blocking thread.
#[remote]
pub(super) fn echo(text: String) -> String {
    text
}

/// The numbers below `to`.
#[remote]
pub(super) fn count(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Never ends by itself.
#[remote]
pub(super) async fn forever() {
    std::future::pending().await
}

/// Ends its process.
#[remote]
pub(super) async fn exit(code: i32) {
    std::process::exit(code)
}
