//! A process that was started with FLAME_PARENT: it serves as one runner, and exits.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::sync::Arc;

use flame_runner_shim::build_id::build_id;
use flame_runner_shim::context::set_process_depth;
use flame_runner_shim::host::docker::DockerHost;
use flame_runner_shim::host::fly::FlyHost;
use flame_runner_shim::host::{Host, ProcessHost, termination_signals};
use flame_runner_shim::runner::{Ended, Runner, run_end_hook};
use flame_runner_shim::{Connect, lifeline, log, log_writer, panics};
use flame_wire::parent::{FlameParent, HostKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{end_hook, idle_predicate, reached, runner_log};
use crate::error::AppError;

/// How many log records may wait for the link. More are dropped, and the log says how many.
const LOG_BUFFER: usize = 1024;

/// Ten years, which in practice is no limit.
const FOREVER_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// Serves as the runner that this FLAME_PARENT describes, and exits.
pub(super) async fn serve(flame_parent: &OsStr) -> Result<Infallible, AppError> {
    let text = flame_parent.to_str().ok_or(AppError::NotText)?;
    let mut parent = FlameParent::decode(text).map_err(|error| AppError::Parent(error.into()))?;
    let host = host(&parent).await?;
    // If the parent is already gone, this ends the process.
    if lifeline::keep_tied() {
        // The kernel ends this process when its parent dies, and a parent that gives up on this
        // runner kills it. So no timeout is needed against orphans, and the runner waits without a
        // limit for a parent that is merely stopped, by Ctrl-Z or by a debugger.
        parent.limits.reconnect_timeout_ms = parent.limits.reconnect_timeout_ms.max(FOREVER_MS);
    }
    panics::install();
    set_process_depth(parent.depth);
    let (records, logs) = mpsc::channel(LOG_BUFFER);
    let _attached = parent.limits.log.then(|| {
        let sink = runner_log::sink();
        log::install_if_unset(sink.clone());
        sink.attach(records)
    });
    let signals = termination_signals().map_err(AppError::Signals)?;
    let runner = Runner {
        connect: Connect::dial(&parent),
        parent,
        host: host.clone(),
        build: build_id().map_err(|error| AppError::Build(error.into()))?.clone(),
        idle_predicate: idle_predicate(),
        logs: Some(logs),
        signals,
    };
    // The functions that this runner serves may start pools of their own.
    reached::mark_reached();
    let ended = run(runner).await;
    run_end_hook(end_hook().as_ref(), host.expires_in()).await;
    if let Some(why) = ended.explanation() {
        log_writer::print_line(format!("flame-aws: {why}"));
    }
    log_writer::global().flush().await;
    let (reason, code) = (ended.reason(), ended.code());
    host.shutdown(reason, code).await;
    // `ProcessHost::shutdown` does not return.
    std::process::exit(code)
}

/// Runs the runner to its end.
///
/// The runner has a task of its own because each call wakes it twice. The root future of a runtime
/// is woken through the runtime's driver or through another thread, which is slower. The `JoinSet`
/// aborts the task if this future is dropped.
async fn run(runner: Runner) -> Ended {
    let mut tasks = JoinSet::new();
    tasks.spawn(runner.run());
    match tasks.join_next().await {
        Some(Err(panic)) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
        Some(Ok(ended)) => ended,
        // The runtime shuts down, and the process with it.
        _ => std::future::pending().await,
    }
}

/// The host that this process runs on.
async fn host(parent: &FlameParent) -> Result<Arc<dyn Host>, AppError> {
    match parent.host {
        HostKind::Process => Ok(Arc::new(ProcessHost)),
        HostKind::Docker => Ok(Arc::new(DockerHost::new(parent.runner))),
        HostKind::Fly => Ok(Arc::new(FlyHost::new(parent.runner))),
        #[cfg(feature = "ecs")]
        HostKind::Ecs => {
            let host = flame_runner_shim::host::ecs::EcsHost::discover().await;
            Ok(Arc::new(host.map_err(|error| AppError::Ecs(error.into()))?))
        }
        kind => Err(AppError::Host(kind)),
    }
}
