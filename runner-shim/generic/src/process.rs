//! A process of its own, or the main process of an ECS task, of a container or of a Fly Machine: one
//! runner, with a FLAME_PARENT.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::sync::Arc;

use flame_runner_shim::host::docker::DockerHost;
use flame_runner_shim::host::ecs::EcsHost;
use flame_runner_shim::host::fly::FlyHost;
use flame_runner_shim::host::{Host, ProcessHost, termination_signals};
use flame_runner_shim::runner::Runner;
use flame_runner_shim::{Connect, lifeline, log_writer};
use flame_wire::parent::{FlameParent, HostKind};

use crate::error::RunError;
use crate::{build, exit_code};

/// Connects to the parent. Returns only if this process does not become the parent's executable.
pub(crate) async fn serve(flame_parent: &OsStr) -> Result<ExitCode, RunError> {
    let parent = FlameParent::decode(flame_parent.to_str().ok_or(RunError::NotText)?)?;
    let host: Arc<dyn Host> = match parent.host {
        HostKind::Process => Arc::new(ProcessHost),
        HostKind::Docker => Arc::new(DockerHost::new(parent.runner)),
        HostKind::Fly => Arc::new(FlyHost::new(parent.runner)),
        HostKind::Ecs => Arc::new(EcsHost::discover().await?),
        kind => return Err(RunError::Host(kind)),
    };
    // If the parent is already gone, this ends the process.
    lifeline::keep_tied();
    let runner = Runner {
        connect: Connect::dial(&parent),
        parent,
        host,
        build: build(),
        idle_predicate: None,
        logs: None,
        signals: termination_signals().map_err(RunError::Signals)?,
    };
    let ended = runner.run().await;
    if let Some(why) = ended.explanation() {
        log_writer::print_line(format!("flame-runner: {why}"));
    }
    Ok(exit_code(ended.code()).await)
}
