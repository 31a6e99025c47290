//! A process of its own, or the main process of an ECS task: one runner, with a FLAME_PARENT.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::sync::Arc;

use flame_runner_shim::exit_code::{EXIT_NOT_SYNCED, EXIT_REJECTED};
use flame_runner_shim::host::ecs::EcsHost;
use flame_runner_shim::host::{Host, ProcessHost};
use flame_runner_shim::runner::{Ended, Runner};
use flame_runner_shim::{Connect, lifeline, log_writer};
use flame_wire::parent::{FlameParent, HostKind};

use crate::error::RunError;
use crate::{build, exit_code, signals};

/// Connects to the parent. Returns only if this process does not become the parent's executable.
pub(crate) async fn serve(flame_parent: &OsStr) -> Result<ExitCode, RunError> {
    let parent = FlameParent::decode(flame_parent.to_str().ok_or(RunError::NotText)?)?;
    let host: Arc<dyn Host> = match parent.host {
        HostKind::Process => Arc::new(ProcessHost),
        HostKind::Ecs => Arc::new(EcsHost::discover().await?),
        kind => return Err(RunError::Host(kind)),
    };
    // If the parent is already gone, this ends the process.
    lifeline::keep_tied();
    let runner = Runner {
        connect: Connect::Dial {
            addresses: parent.addresses.clone(),
            fingerprint: parent.fingerprint,
        },
        parent,
        host,
        build: build(),
        idle_predicate: None,
        logs: None,
        signals: signals::listen()?,
    };
    let (code, why) = match runner.run().await {
        Ended::Done { code: 0, .. } => return Ok(exit_code(0).await),
        Ended::Done { code, reason, .. } => (code, format!("this runner ends: {reason}")),
        Ended::Rejected(rejection) => {
            (EXIT_REJECTED, format!("the parent rejected this runner: {rejection}"))
        }
        Ended::NotSynced(error) => (
            EXIT_NOT_SYNCED,
            format!("this runner can't replace itself with its parent's executable: {error}"),
        ),
        _ => (EXIT_REJECTED, "this runner ends".to_owned()),
    };
    // The last line printed: the parent of a process keeps a child's last lines.
    log_writer::print_line(format!("flame-runner: {why}"));
    Ok(exit_code(code).await)
}
